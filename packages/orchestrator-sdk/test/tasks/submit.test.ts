import { beforeEach, describe, expect, it } from "vitest";
import type { NodeId, SessionId } from "@cortex-mesh/protocol";
import { alice, bob, type Mesh, openMesh } from "../support/open-mesh.js";
import { requestRecord } from "../support/task-record.js";

let mesh: Mesh;
let nodeId: NodeId;
let sessionId: SessionId;
beforeEach(async () => {
  mesh = await openMesh();
  nodeId = await mesh.addNode();
  sessionId = await mesh.addSession([nodeId]);
});

const request = (changes: object = {}) => ({
  ...requestRecord(),
  sessionId,
  effect: undefined,
  idempotencyKey: undefined,
  ...changes,
});

describe("a dispatch that cannot be placed", () => {
  it("I8: an unknown session, and one of somebody else, are not there", async () => {
    await expect(mesh.submit("ses_01J00000000000000000000009" as SessionId)).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
    await expect(mesh.services.tasks.submit(bob, request())).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  it("H6: a session without a node is a conflict", async () => {
    const empty = await mesh.addSession([]);
    await expect(mesh.submit(empty)).rejects.toMatchObject({ code: "NODE_NOT_ATTACHED" });
  });

  it("H6: a node that is named has to exist, be attached and not be revoked", async () => {
    const other = await mesh.addNode();
    const foreign = await mesh.addNode({ ownerId: bob.userId });
    await expect(mesh.submit(sessionId, { nodeId: other })).rejects.toMatchObject({ code: "NODE_NOT_ATTACHED" });
    await expect(mesh.submit(sessionId, { nodeId: foreign })).rejects.toMatchObject({ code: "NOT_FOUND" });
    await mesh.services.nodes.revoke(alice, nodeId);
    await expect(mesh.submit(sessionId, { nodeId })).rejects.toMatchObject({ code: "NODE_REVOKED" });
    await expect(mesh.submit(sessionId)).rejects.toMatchObject({ code: "NODE_NOT_ATTACHED" });
  });

  it("E6: a skill that no attached node has is refused, but not while a node has yet to register", async () => {
    await expect(mesh.submit(sessionId, { skill: "nope" })).rejects.toMatchObject({ code: "BAD_REQUEST" });
    const fresh = await mesh.addNode({ capabilities: undefined });
    const waiting = await mesh.addSession([fresh]);
    expect(await mesh.submit(waiting, { skill: "nope" })).toMatch(/^task_/);
  });

  it("H6: a session that is being deleted takes no more tasks", async () => {
    const session = await mesh.services.sessions.get(alice, sessionId);
    await mesh.store.transaction((tx) =>
      tx.sessions.update({ ...session, revision: session.revision + 1, status: "closed" }),
    );
    await expect(mesh.submit(sessionId)).rejects.toMatchObject({ code: "LOCKED" });
  });
});

describe("an idempotency key", () => {
  it("E5: a repeat gives the earlier task, also after its end", async () => {
    const first = await mesh.services.tasks.submit(alice, request({ idempotencyKey: "k" }));
    const again = await mesh.services.tasks.submit(alice, request({ idempotencyKey: "k", traceparent: "00-1" }));
    expect(again).toMatchObject({ isRepeat: true, task: { taskId: first.task.taskId } });
    await mesh.services.tasks.cancel(alice, first.task.taskId);
    expect(await mesh.services.tasks.submit(alice, request({ idempotencyKey: "k" }))).toMatchObject({ isRepeat: true });
  });

  it("E5: another request with the same key is a conflict", async () => {
    const taskId = await mesh.submit(sessionId, { idempotencyKey: "k" });
    const other = mesh.submit(sessionId, { idempotencyKey: "k", input: { command: "false" } });
    await expect(other).rejects.toMatchObject({ code: "IDEMPOTENCY_CONFLICT", details: { taskId } });
  });

  it("I8: keys of two users are different keys", async () => {
    await mesh.submit(sessionId, { idempotencyKey: "k" });
    const node = await mesh.addNode({ ownerId: bob.userId });
    const { sessionId: theirs } = await mesh.services.sessions.create(bob, { nodes: [{ nodeId: node }] });
    expect(await mesh.services.tasks.submit(bob, request({ sessionId: theirs, idempotencyKey: "k" }))).toMatchObject({
      isRepeat: false,
    });
  });

  it("E5: 200 dispatches at once with one key are one task", async () => {
    const all = await Promise.all(
      Array.from({ length: 200 }, () => mesh.services.tasks.submit(alice, request({ idempotencyKey: "k" }))),
    );
    expect(new Set(all.map(({ task }) => task.taskId)).size).toBe(1);
    expect(all.filter(({ isRepeat }) => !isRepeat)).toHaveLength(1);
    expect(mesh.parts.connections.get(nodeId)).toBeUndefined();
    expect((await mesh.services.tasks.list(alice, sessionId, { limit: 10 })).length).toBe(1);
  });

  it.each(["", "k".repeat(129)])("E5: a key of the wrong length is refused (%#)", async (idempotencyKey) => {
    await expect(mesh.submit(sessionId, { idempotencyKey })).rejects.toMatchObject({ code: "BAD_REQUEST" });
  });

  it("H4: a dispatch that could not be stored is not answered, and leaves nothing", async () => {
    mesh.faults.isStoreFull = true;
    await expect(mesh.submit(sessionId, { idempotencyKey: "k" })).rejects.toMatchObject({ code: "STORAGE_FULL" });
    mesh.faults.isStoreFull = false;
    expect(await mesh.services.tasks.submit(alice, request({ idempotencyKey: "k" }))).toMatchObject({
      isRepeat: false,
    });
  });
});
