import { describe, expect, it } from "vitest";
import { z } from "zod";
import { defineOperation } from "../../src/operations/operation.js";
import { operations } from "../../src/operations/table.js";

const DEFINITION = {
  name: "renameThing",
  method: "POST",
  path: "/things/{thingId}/name",
  summary: "Rename a thing",
  input: z.object({ thingId: z.string(), name: z.string(), key: z.string().optional() }),
  output: z.object({}),
  kind: "json",
  rule: "owner",
  run: () => Promise.resolve({}),
} as const;

describe("defineOperation", () => {
  it("P4: where a field travels follows from path, headers and method", () => {
    const post = defineOperation({ ...DEFINITION, headers: { key: "x-key" } });
    expect(post.places).toEqual({
      path: ["thingId"],
      query: [],
      body: ["name"],
      headers: { key: "x-key" },
      bytes: undefined,
    });
    const get = defineOperation({ ...DEFINITION, method: "GET" });
    expect(get.places).toMatchObject({ path: ["thingId"], query: ["name", "key"], body: [] });
    const bytes = defineOperation({ ...DEFINITION, bodyField: "name" });
    expect(bytes.places).toMatchObject({ path: ["thingId"], query: ["key"], body: [], bytes: "name" });
  });

  it("P4: a definition that cannot work is refused when it is made", () => {
    expect(() => defineOperation({ ...DEFINITION, path: "/things/{id}" })).toThrow('no field "id"');
    expect(() => defineOperation({ ...DEFINITION, headers: { nokey: "x-key" } as never })).toThrow('no field "nokey"');
    expect(() => defineOperation({ ...DEFINITION, aliases: ["/things/name"] })).toThrow("names other fields");
    expect(() => defineOperation({ ...DEFINITION, kind: "events" } as never)).toThrow("are read by GET");
  });

  it("P4: unknown keys are refused also where the schema was not made strict", () => {
    const { input } = defineOperation(DEFINITION);
    expect(input.safeParse({ thingId: "a", name: "b", other: 1 }).success).toBe(false);
  });
});

describe("the table", () => {
  it("P4: every operation is in the table under its own name, and no two share a method and path", () => {
    const routes = Object.entries(operations).flatMap(([name, operation]) => {
      expect(operation.name).toBe(name);
      return operation.paths.map((path) => `${operation.method} ${path.replaceAll(/\{[A-Za-z]+\}/g, "{}")}`);
    });
    expect(new Set(routes).size).toBe(routes.length);
  });

  it("H7: the calls of the contract are in the table", () => {
    const routes = Object.values(operations).flatMap(({ method, paths }) => paths.map((path) => `${method} ${path}`));
    expect(routes).toEqual(
      expect.arrayContaining([
        "POST /nodes/invites",
        "POST /nodes/invite",
        "GET /nodes/invites/{inviteId}",
        "DELETE /nodes/invites/{inviteId}",
        "GET /nodes",
        "GET /nodes/{nodeId}",
        "GET /nodes/{nodeId}/status",
        "POST /nodes/{nodeId}/drain",
        "DELETE /nodes/{nodeId}",
        "POST /sessions",
        "GET /sessions",
        "GET /sessions/{sessionId}",
        "DELETE /sessions/{sessionId}",
        "POST /sessions/{sessionId}/nodes",
        "DELETE /sessions/{sessionId}/nodes/{nodeId}",
        "POST /sessions/{sessionId}/dispatch",
        "GET /sessions/{sessionId}/tasks",
        "GET /tasks/{taskId}",
        "POST /tasks/{taskId}/cancel",
        "GET /tasks/{taskId}/explain",
        "POST /tasks/{taskId}/resolve",
        "POST /tasks/{taskId}/input",
        "GET /tasks/{taskId}/output",
        "GET /tasks/{taskId}/events",
        "GET /events",
      ]),
    );
  });
});
