import { beforeEach, describe, expect, it } from "vitest";
import { CortexError, type NodeId, type SessionId, type TaskId } from "@cortex-mesh/protocol";
import { Outcome } from "@cortex-mesh/protocol/gen";
import { systemScope } from "../../src/access/scope.js";
import { FIRST_BOUNCE_PAUSE_MS } from "../../src/tasks/bounce-pause.js";
import { CANCEL_ALL_WAIT_MS } from "../../src/tasks/cancel-all.js";
import { alice, type Mesh, openMesh } from "../support/open-mesh.js";
import type { ScriptedNode } from "../support/scripted-node.js";
import { turns, until } from "../support/until.js";

let mesh: Mesh;
let nodeId: NodeId;
let sessionId: SessionId;
beforeEach(async () => {
  mesh = await openMesh();
  nodeId = await mesh.addNode();
  sessionId = await mesh.addSession([nodeId]);
});

const connect = (maxTasks: number): Promise<ScriptedNode> => mesh.connect(nodeId, { request: { maxTasks } });
const granted = (node: ScriptedNode): (string | undefined)[] => node.grants().map(({ task }) => task?.taskId);
const submitMany = async (count: number): Promise<TaskId[]> => {
  const ids: TaskId[] = [];
  for (let i = 0; i < count; i++) {
    ids.push(await mesh.submit(sessionId));
    await mesh.clock.advance(1);
  }
  return ids;
};

describe("order", () => {
  it("H5: tasks are given in order of submission, and one that comes back has its old place", async () => {
    const [first, second, third] = await submitMany(3);
    const node = await connect(1);
    await until(() => granted(node).length === 1);
    expect(granted(node)).toEqual([first]);
    await mesh.clock.advance(1000);
    const late = await mesh.submit(sessionId);
    node.declined({ taskId: first!, attempt: 1 }, false);
    await until(() => granted(node).length === 2);
    await mesh.clock.advance(FIRST_BOUNCE_PAUSE_MS);
    for (const taskId of [second!, first!, third!]) {
      const attempt = taskId === first ? 2 : 1;
      await until(() => granted(node).includes(taskId));
      node.ended({ taskId, attempt });
      await mesh.reaches(taskId, "succeeded");
    }
    await until(() => granted(node).length === 5);
    expect(granted(node)).toEqual([first, second, first, third, late]);
  });

  it("H5: a task waits for its node and is placed when that comes online", async () => {
    const taskId = await mesh.submit(sessionId);
    expect(await mesh.services.tasks.explain(alice, taskId)).toMatchObject({
      summary: expect.stringContaining("waits"),
      candidates: [{ nodeId, isAble: true, isOnline: false, isEligible: false, reason: "node a is offline" }],
    });
    const node = await connect(1);
    await mesh.reaches(taskId, "leased");
    expect(granted(node)).toEqual([taskId]);
    expect(await mesh.services.tasks.explain(alice, taskId)).toMatchObject({
      notes: [{ text: `attempt 1 leased to ${nodeId}` }],
    });
  });
});

describe("slots", () => {
  it("H5: are never exceeded, and given back by every kind of end", async () => {
    const ids = await submitMany(8);
    const node = await connect(2);
    const ends: ((taskId: TaskId) => void)[] = [
      (taskId) => node.ended({ taskId, attempt: 1 }),
      (taskId) => node.ended({ taskId, attempt: 1 }, { outcome: Outcome.FAILED, exitCode: 1 }),
      (taskId) => node.ended({ taskId, attempt: 1 }, { outcome: Outcome.CANCELLED }),
      (taskId) => node.ended({ taskId, attempt: 1 }, { outcome: Outcome.TIMED_OUT }),
      (taskId) => node.ended({ taskId, attempt: 1 }, { outcome: Outcome.REJECTED }),
      (taskId) => node.ended({ taskId, attempt: 1 }, { outcome: Outcome.INDETERMINATE }),
      (taskId) => node.declined({ taskId, attempt: 1 }, true),
      (taskId) => node.ended({ taskId, attempt: 1 }),
    ];
    for (const [index, taskId] of ids.entries()) {
      await until(() => granted(node).length === Math.min(index + 2, ids.length));
      await turns();
      expect(granted(node)).toHaveLength(Math.min(index + 2, ids.length));
      ends[index]?.(taskId);
      await until(
        () => node.received.length > 0 && mesh.task(taskId).then(({ finishedAtMs }) => finishedAtMs !== undefined),
      );
    }
    const [last] = await submitMany(1);
    await until(() => granted(node).includes(last));
  });

  it("H5: a slot comes back when its task is deleted with its session", async () => {
    const [taskId] = await submitMany(1);
    const node = await connect(1);
    await until(() => granted(node).length === 1);
    const removed = mesh.services.sessions.remove(alice, sessionId);
    await until(() => node.cancels().length === 1);
    await mesh.clock.advance(60_000);
    await removed;
    expect(await mesh.store.tasks.get(systemScope, taskId!)).toBeUndefined();
    const other = await mesh.addSession([nodeId]);
    const next = await mesh.submit(other);
    const again = await mesh.connect(nodeId, { request: { maxTasks: 1 } });
    await until(() => granted(again).includes(next));
  });

  it("H5: a slot comes back as well when its task was accepted in the moment in which its session was deleted", async () => {
    const node = await connect(1);
    const { list } = mesh.store.tasks;
    let proceed = (): void => undefined;
    const isListed = new Promise<void>((resolve) => (proceed = resolve));
    Object.assign(mesh.store.tasks, {
      list: async (...asked: Parameters<typeof list>) => {
        Object.assign(mesh.store.tasks, { list });
        const page = await list(...asked);
        await isListed;
        return page;
      },
    });
    const removed = mesh.services.sessions.remove(alice, sessionId);
    const taskId = await mesh.submit(sessionId);
    await mesh.reaches(taskId, "leased");
    proceed();
    await until(() => node.cancels().length === 1);
    // The node does not answer the cancel in time.
    await mesh.clock.advance(CANCEL_ALL_WAIT_MS);
    await removed;
    expect(await mesh.store.tasks.get(systemScope, taskId)).toBeUndefined();
    const next = await mesh.submit(await mesh.addSession([nodeId]));
    await until(() => granted(node).includes(next));
  });

  it("H5: a slot is kept while the node is away", async () => {
    const [first, second] = await submitMany(2);
    const node = await connect(1);
    await until(() => granted(node).length === 1);
    node.tasks.close();
    await until(async () => (await mesh.task(first!)).disconnected);
    const again = await mesh.dial(nodeId, { request: { maxTasks: 1 } });
    await again.hello([{ taskId: first!, attempt: 1, state: 2 }]);
    await turns();
    expect(granted(again)).toEqual([]);
    again.ended({ taskId: first!, attempt: 1 });
    await until(() => granted(again).includes(second));
  });
});

describe("a choice that is out of date", () => {
  it("H5: a node whose epoch rose between choice and lease gets nothing until it is back", async () => {
    const node = await connect(4);
    await mesh.raiseEpoch(nodeId);
    const taskId = await mesh.submit(sessionId);
    await turns();
    expect(await mesh.task(taskId)).toMatchObject({ state: "queued", attempt: 0 });
    expect(granted(node)).toEqual([]);
    const again = await connect(4);
    await until(() => granted(again).includes(taskId));
    expect(mesh.errors).toEqual([]);
  });

  it("H5: a draining node gets nothing new", async () => {
    const node = await connect(4);
    node.say({ case: "draining", value: { graceMs: 1 } });
    await until(() => mesh.parts.connections.get(nodeId)?.isDraining);
    const taskId = await mesh.submit(sessionId);
    await turns();
    expect(granted(node)).toEqual([]);
    expect((await mesh.services.tasks.explain(alice, taskId)).candidates).toMatchObject([
      { isAble: true, isDraining: true, isEligible: false, reason: "node a is draining and takes nothing new" },
    ]);
  });

  it("H6: a task goes to no node that is detached meanwhile, and to no session that is closed", async () => {
    const other = await mesh.addNode();
    await mesh.services.sessions.attach(alice, sessionId, { nodeId: other });
    const taskId = await mesh.submit(sessionId);
    const session = await mesh.services.sessions.get(alice, sessionId);
    const connecting = connect(4);
    const node = await connecting;
    await mesh.reaches(taskId, "leased");
    await mesh.store.transaction((tx) =>
      tx.sessions.update({ ...session, revision: session.revision + 1, status: "closed" }),
    );
    node.declined({ taskId, attempt: 1 }, false);
    await mesh.reaches(taskId, "queued");
    await mesh.clock.advance(FIRST_BOUNCE_PAUSE_MS);
    await turns();
    expect(await mesh.task(taskId)).toMatchObject({ state: "queued", attempt: 1 });
  });

  it("H6: a node that is detached at any moment of a lease keeps no task that nobody ends", async () => {
    const node = await connect(64);
    for (let moment = 0; moment < 60; moment++) {
      const session = await mesh.addSession([nodeId]);
      const taskId = await mesh.submit(session);
      for (let i = 0; i < moment; i++) await Promise.resolve();
      const detached = mesh.services.sessions.detach(alice, session, nodeId);
      await turns(4);
      const { state, cancelling, attempt } = await mesh.task(taskId);
      expect({ moment, isForgotten: state === "leased" && !cancelling }).toEqual({ moment, isForgotten: false });
      if (state === "leased") node.ended({ taskId, attempt });
      await detached;
    }
  });

  it("I3: a task that waits for a node that is revoked is rejected", async () => {
    const other = await mesh.addNode();
    await mesh.services.sessions.attach(alice, sessionId, { nodeId: other });
    const named = await mesh.submit(sessionId, { nodeId });
    const free = await mesh.submit(sessionId);
    await mesh.services.nodes.revoke(alice, nodeId);
    expect(await mesh.reaches(named, "rejected")).toMatchObject({ error: { code: "NODE_REVOKED" } });
    expect(await mesh.task(free)).toMatchObject({ state: "queued" });
  });

  it("T6: a lease whose connection ends at any moment of its write is disconnected, not stuck", async () => {
    for (let moment = 0; moment < 60; moment++) {
      const node = await connect(64);
      const connection = mesh.parts.connections.get(nodeId);
      const taskId = await mesh.submit(sessionId);
      for (let i = 0; i < moment; i++) await Promise.resolve();
      connection?.close(new CortexError("UNAVAILABLE", "cut"));
      await turns(4);
      const { state, disconnected } = await mesh.task(taskId);
      expect({ moment, isStuck: state === "leased" && !disconnected }).toEqual({ moment, isStuck: false });
      await mesh.services.tasks.cancel(alice, taskId);
      expect(node.tasksClosed).toBeDefined();
    }
  });
});

describe("a pass that fails", () => {
  it("H4: is repeated by itself when the disk has room again", async () => {
    const node = await connect(1);
    const taskId = await mesh.submit(sessionId);
    mesh.faults.isStoreFull = true;
    await until(() => mesh.errors.length > 0);
    mesh.faults.isStoreFull = false;
    await mesh.clock.advance(1_000);
    await until(() => granted(node).includes(taskId));
  });

  it("H4: after a restart the queue and the slots are as they were", async () => {
    const [first, second, third] = await submitMany(3);
    const node = await connect(2);
    await until(() => granted(node).length === 2);
    node.started({ taskId: first!, attempt: 1 });
    await mesh.reaches(first!, "running");
    const next = await mesh.restart();
    const again = await next.dial(nodeId, { request: { maxTasks: 2 } });
    await again.hello([
      { taskId: first!, attempt: 1, state: 2 },
      { taskId: second!, attempt: 1, state: 1 },
    ]);
    await turns();
    expect(granted(again)).toEqual([]);
    again.ended({ taskId: first!, attempt: 1 });
    await until(() => granted(again).includes(third));
  });
});
