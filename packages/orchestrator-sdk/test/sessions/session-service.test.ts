import { describe, expect, it } from "vitest";
import { systemIds } from "@cortex-mesh/protocol";
import { createCaller } from "../../src/access/caller.js";
import { MAX_SESSION_NODES } from "../../src/sessions/session-nodes.js";
import { alice, bob, openTestHub } from "../operations/open-hub-services.js";

describe("createSessionService", () => {
  it("H6: a session has its owner, its nodes with their paths, and a default path that is its id", async () => {
    const { services, addNode } = await openTestHub();
    const first = await addNode(alice);
    const second = await addNode(alice);
    const nodes = [{ nodeId: first }, { nodeId: second, path: "projects//demo/" }];
    const session = await services.sessions.create(alice, { name: "demo", nodes });
    expect(session).toMatchObject({
      name: "demo",
      ownerId: "alice",
      status: "active",
      revision: 1,
      parentId: undefined,
    });
    expect(session.nodes.map(({ path }) => path)).toEqual([session.sessionId, "projects/demo"]);
    expect(await services.sessions.get(alice, session.sessionId)).toEqual(session);
  });

  it("I8: somebody else's node does not attach, neither at creation nor later", async () => {
    const { services, addNode, addSession } = await openTestHub();
    const nodeId = await addNode(bob);
    const sessionId = await addSession(alice);
    const notFound = expect.objectContaining({ code: "NOT_FOUND" });
    await expect(services.sessions.create(alice, { nodes: [{ nodeId }] })).rejects.toEqual(notFound);
    await expect(services.sessions.attach(alice, sessionId, { nodeId })).rejects.toEqual(notFound);
    expect((await services.sessions.list(alice, { limit: 10 })).length).toBe(1);
  });

  it("I8: somebody else's session is not found by any method", async () => {
    const { services, addNode, addSession } = await openTestHub();
    const sessionId = await addSession(alice, [await addNode(alice)]);
    const nodeId = await addNode(bob);
    const notFound = expect.objectContaining({ code: "NOT_FOUND" });
    await expect(services.sessions.get(bob, sessionId)).rejects.toEqual(notFound);
    await expect(services.sessions.attach(bob, sessionId, { nodeId })).rejects.toEqual(notFound);
    await expect(services.sessions.detach(bob, sessionId, nodeId)).rejects.toEqual(notFound);
    await expect(services.sessions.remove(bob, sessionId)).rejects.toEqual(notFound);
    expect(await services.sessions.list(bob, { limit: 10 })).toEqual([]);
  });

  it("H6: a revoked node does not attach", async () => {
    const { services, addNode, addSession } = await openTestHub();
    const nodeId = await addNode(alice, { revokedAtMs: 5 });
    const sessionId = await addSession(alice);
    const refused = expect.objectContaining({ code: "NODE_REVOKED" });
    await expect(services.sessions.attach(alice, sessionId, { nodeId })).rejects.toEqual(refused);
  });

  it("H6: attaching again with the same path changes nothing, with another path it is refused", async () => {
    const { services, addNode, addSession } = await openTestHub();
    const nodeId = await addNode(alice);
    const sessionId = await addSession(alice);
    const first = await services.sessions.attach(alice, sessionId, { nodeId, path: "a" });
    expect(first.revision).toBe(2);
    expect(await services.sessions.attach(alice, sessionId, { nodeId, path: "./a" })).toEqual(first);
    await expect(services.sessions.attach(alice, sessionId, { nodeId, path: "b" })).rejects.toMatchObject({
      code: "BAD_REQUEST",
    });
  });

  it("H6: the number of nodes and the name are bounded", async () => {
    const { services, addSession } = await openTestHub();
    const sessionId = await addSession(alice);
    const nodes = Array.from({ length: MAX_SESSION_NODES + 1 }, () => ({ nodeId: systemIds.next("node") }));
    await expect(services.sessions.create(alice, { nodes })).rejects.toMatchObject({ code: "BAD_REQUEST" });
    for (const name of ["", "x".repeat(201), "a\nb"]) {
      await expect(services.sessions.create(alice, { name })).rejects.toMatchObject({ code: "BAD_NAME" });
    }
    expect((await services.sessions.get(alice, sessionId)).nodes).toEqual([]);
  });

  it("H6: detaching cancels the tasks that wait for the node by name, and only those", async () => {
    const { services, addNode, addSession, addTask } = await openTestHub();
    const [gone, stays] = [await addNode(alice), await addNode(alice)];
    const sessionId = await addSession(alice, [gone, stays]);
    const free = await addTask(alice, sessionId);
    const { task } = await services.tasks.submit(alice, {
      ...(await services.tasks.get(alice, free)).request,
      sessionId,
      nodeId: gone,
      effect: "once",
      idempotencyKey: undefined,
    });
    const session = await services.sessions.detach(alice, sessionId, gone);
    expect(session.nodes.map(({ nodeId }) => nodeId)).toEqual([stays]);
    expect((await services.tasks.get(alice, task.taskId)).task.state).toBe("cancelled");
    expect((await services.tasks.get(alice, free)).task.state).toBe("queued");
    await expect(services.sessions.detach(alice, sessionId, gone)).rejects.toMatchObject({ code: "NODE_NOT_ATTACHED" });
  });

  it("H11: deleting a session cancels what waits and removes its tasks", async () => {
    const { services, addNode, addSession, addTask } = await openTestHub();
    const sessionId = await addSession(alice, [await addNode(alice)]);
    const taskId = await addTask(alice, sessionId);
    await services.sessions.remove(alice, sessionId);
    await expect(services.sessions.get(alice, sessionId)).rejects.toMatchObject({ code: "NOT_FOUND" });
    await expect(services.tasks.get(alice, taskId)).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  it("H6: a session that is being deleted takes no nodes, and deleting it again finishes an interrupted deletion", async () => {
    const { services, store, addNode, addSession } = await openTestHub();
    const sessionId = await addSession(alice);
    const nodeId = await addNode(alice);
    const before = await services.sessions.get(alice, sessionId);
    await store.transaction((tx) => tx.sessions.update({ ...before, revision: 2, status: "closed" }));
    await expect(services.sessions.attach(alice, sessionId, { nodeId })).rejects.toMatchObject({ code: "LOCKED" });
    await services.sessions.remove(alice, sessionId);
    await expect(services.sessions.get(alice, sessionId)).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  it("H8: every change of a session is in its owner's feed, and in nobody else's", async () => {
    const { services, store, addNode, addSession } = await openTestHub();
    const carol = createCaller("carol");
    const nodeId = await addNode(carol);
    const sessionId = await addSession(carol);
    await services.sessions.attach(carol, sessionId, { nodeId });
    await services.sessions.detach(carol, sessionId, nodeId);
    await services.sessions.remove(carol, sessionId);
    const kinds = (await store.feed.read(carol.userId, { afterSeq: 0, limit: 10 })).map(({ kind }) => kind);
    const changes = ["created", "attached", "detached", "closed", "deleted"].map((change) => `session.${change}`);
    expect(kinds).toEqual(changes);
    expect(await store.feed.read(alice.userId, { afterSeq: 0, limit: 10 })).toEqual([]);
  });
});
