import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { createHub } from "../src/hub.js";
import { defineOperation } from "../src/operations/operation.js";
import { nodeRecord } from "./support/task-record.js";

let data = "";
beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), "cortex-hub-"));
});
afterEach(() => rm(data, { recursive: true, force: true }));

const authenticate = (request: Request) => {
  const token = /^Bearer (\w+)$/.exec(request.headers.get("authorization") ?? "")?.[1];
  return token === undefined ? undefined : { userId: token };
};

describe("a hub", () => {
  it("H4: its identity, sessions and invites are the same after a restart, and its keys are private", async () => {
    const before = await createHub({ data });
    const { sessionId } = await before.as("alice").createSession({ name: "demo" });
    await before.as("alice").createInvite({ name: "laptop" });
    await before.close();
    await before.close();

    await using after = await createHub({ data });
    expect(after.hubId).toBe(before.hubId);
    expect((await after.as("alice").getSession({ sessionId })).name).toBe("demo");
    expect((await after.as("alice").listInvites({})).items).toHaveLength(1);
    await expect(after.as("bob").getSession({ sessionId })).rejects.toMatchObject({ code: "NOT_FOUND" });
    for (const file of ["hub.db", "ca/ca.key"]) expect((await stat(join(data, file))).mode & 0o077).toBe(0);
  });

  it("P4: an operation added to the table is in the API and over HTTP with no other edit", async () => {
    const greet = defineOperation({
      name: "greet",
      method: "POST",
      path: "/greetings/{name}",
      summary: "Say hello",
      input: z.strictObject({ name: z.string(), times: z.number().int().positive().default(1) }),
      output: z.strictObject({ text: z.string() }),
      kind: "json",
      rule: "user",
      run: async ({ caller }, { name, times }) => ({ text: `${"hello ".repeat(times)}${name} from ${caller.userId}` }),
    });
    await using hub = await createHub({ data, http: 0, authenticate, operations: { greet } });
    const expected = { text: "hello hello bob from alice" };
    expect(await hub.as("alice").greet({ name: "bob", times: 2 })).toEqual(expected);
    const response = await fetch(`${hub.httpUrl}/api/v1/greetings/bob`, {
      method: "POST",
      headers: { authorization: "Bearer alice", "content-type": "application/json" },
      body: JSON.stringify({ times: 2 }),
    });
    expect(await response.json()).toEqual(expected);
    const description = (await (await fetch(`${hub.httpUrl}/api/v1/openapi.json`)).json()) as { paths: object };
    expect(description.paths).toHaveProperty(["/greetings/{name}"]);
  });

  it.each([
    [
      "throws",
      () => {
        throw new Error("disk full");
      },
    ],
    ["rejects", () => Promise.reject(new Error("collector away"))],
  ])("L4: a logger of the host that %s keeps nothing from happening", async (_how, fail) => {
    const logger = { debug: fail, info: fail, warn: fail, error: fail };
    await using hub = await createHub({ data, logger });
    expect((await hub.fetch(new Request("http://hub/healthz"))).status).toBe(200);
    const alice = hub.as("alice");
    const node = nodeRecord();
    await hub.store.transaction((tx) => tx.nodes.insert(node));
    const { sessionId } = await alice.createSession({ nodes: [{ nodeId: node.nodeId }] });
    const { taskId } = await alice.dispatch({ sessionId, skill: "echo", input: { text: "x" }, queueTimeoutMs: 1 });
    // Deadlines hear of the task behind the log.
    await expect.poll(async () => (await alice.getTask({ taskId })).state).not.toBe("queued");
  });

  it("H1: an address that is taken is a clear error, and nothing stays open", async () => {
    await using first = await createHub({ data });
    const other = join(data, "other");
    await expect(createHub({ data: other, grpc: first.grpcAddress })).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await using retried = await createHub({ data: other });
    expect(retried.hubId).not.toBe(first.hubId);
  });
});
