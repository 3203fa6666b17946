/** What holds for every operation, generated from the table: a new operation is covered, or makes this file fail. */
import { describe, expect, it } from "vitest";
import { ACCESS_MATRIX } from "../../src/access/matrix.js";
import type { Operation } from "../../src/operations/operation.js";
import { operations } from "../../src/operations/table.js";
import { alice, bob } from "../operations/open-hub-services.js";
import { openTestHttp, type TestHttp } from "./open-test-http.js";

/** The smallest valid body of each operation that needs one. */
const BODIES: Readonly<Record<string, unknown>> = {
  dispatch: { skill: "shell", input: { command: "id" } },
  resolveTask: { state: "failed" },
};

const all: readonly Operation[] = Object.values(operations);

/** What Alice has: an id for each field that a path can name. */
async function openAliceThings(): Promise<TestHttp & { readonly ids: Readonly<Record<string, string>> }> {
  const http = await openTestHttp();
  const nodeId = await http.addNode(alice);
  const sessionId = await http.addSession(alice, [nodeId]);
  const taskId = await http.addTask(alice, sessionId);
  const request = { name: undefined, ttlSeconds: undefined, labels: undefined };
  const { record } = await http.services.invites.create(alice, request);
  return { ...http, ids: { nodeId, sessionId, taskId, inviteId: record.inviteId } };
}

function fill(path: string, ids: Readonly<Record<string, string>>): string {
  return path.replaceAll(/\{([A-Za-z]+)\}/g, (_match, field: string) => ids[field] ?? `unknown field ${field}`);
}

function bodyOf({ name, places }: Operation, ids: Readonly<Record<string, string>>): object {
  if (places.bytes !== undefined) return { body: "x" };
  if (places.body.length === 0) return {};
  return { body: BODIES[name] ?? (places.body.includes("nodeId") ? { nodeId: ids["nodeId"] } : {}) };
}

describe.each(all.map((operation) => [operation.name, operation] as const))("%s", (_name, operation) => {
  it("I8: is refused with 401 without a token and with a wrong one, whatever it names", async () => {
    expect(ACCESS_MATRIX[operation.rule].anonymous).toBe("UNAUTHENTICATED");
    const { call, ids } = await openAliceThings();
    for (const path of operation.paths) {
      for (const token of [null, "x".repeat(40)]) {
        for (const names of [ids, {}]) {
          const response = await call(operation.method, fill(path, names), { ...bodyOf(operation, ids), token });
          expect(response.status).toBe(401);
          expect(await response.json()).toMatchObject({ code: "UNAUTHENTICATED", status: 401 });
        }
      }
    }
  });

  it("I8: shows a stranger nothing: 404 where it names a thing, and only the stranger's own things where it does not", async () => {
    const { call, ids } = await openAliceThings();
    const isNaming = operation.places.path.length > 0;
    expect(operation.rule).toBe(isNaming ? "owner" : "user");
    for (const path of operation.paths) {
      const response = await call(operation.method, fill(path, ids), { ...bodyOf(operation, ids), token: "bob" });
      if (isNaming) {
        expect(await response.json()).toMatchObject({ code: "NOT_FOUND", status: 404 });
      } else if (operation.kind === "json" && operation.method === "GET") {
        expect(await response.json()).toEqual({ items: [], nextCursor: null });
      } else {
        expect(response.status).toBeLessThan(300);
        await response.body?.cancel();
      }
    }
  });

  it("P4: answers its owner with a status and a shape that its description names", async () => {
    const { call, ids, services } = await openAliceThings();
    if (operation.name === "resolveTask" || operation.name === "writeTaskInput") return;
    const [path] = operation.paths;
    const response = await call(operation.method, fill(path, ids), bodyOf(operation, ids));
    expect(operation.statuses).toContain(response.status);
    if (operation.kind === "json" && response.status !== 204) {
      expect(operation.output.safeParse(await response.json())).toMatchObject({ success: true });
    } else await response.body?.cancel();
    await services.sessions.list(alice, { limit: 1 });
  });
});

describe("ids", () => {
  it("I8: what is not an id names nothing", async () => {
    const { call } = await openTestHttp();
    for (const path of ["/nodes/x", "/sessions/ses_x", "/tasks/..%2f..", "/nodes/invites/%00", "/tasks/%ff"]) {
      expect((await call("GET", path)).status).toBe(404);
    }
  });

  it("I8: a body cannot name another resource than the path", async () => {
    const { call, addNode, addSession } = await openTestHttp();
    const mine = await addSession(bob, [await addNode(bob)]);
    const theirs = await addSession(alice, [await addNode(alice)]);
    const body = { skill: "shell", input: { command: "id" }, sessionId: theirs };
    const response = await call("POST", `/sessions/${mine}/dispatch`, { body, token: "bob" });
    expect(await response.json()).toMatchObject({ code: "BAD_REQUEST", details: { field: "sessionId" } });
  });

  it("I8: a query cannot name another resource than the path", async () => {
    const { call, addSession } = await openTestHttp();
    const [mine, other] = [await addSession(alice), await addSession(alice)];
    const response = await call("GET", `/sessions/${mine}?sessionId=${other}`);
    expect(await response.json()).toMatchObject({ code: "BAD_REQUEST", details: { field: "sessionId" } });
  });
});
