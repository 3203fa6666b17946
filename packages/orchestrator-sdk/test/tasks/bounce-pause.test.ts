import { beforeEach, describe, expect, it } from "vitest";
import type { NodeId, SessionId, TaskId } from "@cortex-mesh/protocol";
import { Outcome } from "@cortex-mesh/protocol/gen";
import {
  bouncePauseMs,
  createBouncePauses,
  FIRST_BOUNCE_PAUSE_MS,
  MAX_BOUNCE_PAUSE_MS,
} from "../../src/tasks/bounce-pause.js";
import { alice, type Mesh, openMesh } from "../support/open-mesh.js";
import type { ScriptedNode } from "../support/scripted-node.js";
import { NODE_ID, TASK_ID } from "../support/task-record.js";
import { turns, until } from "../support/until.js";

describe("the pause of a node that did not keep a task", () => {
  const offer = { taskId: TASK_ID, nodeId: NODE_ID, epoch: 1 };

  it("H5: doubles each time, up to a bound", () => {
    const pauses = [1, 2, 3, 4, 5, 6, 7, 8, 1000].map(bouncePauseMs);
    expect(pauses).toEqual([200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000]);
    expect([pauses[0], pauses[8]]).toEqual([FIRST_BOUNCE_PAUSE_MS, MAX_BOUNCE_PAUSE_MS]);
  });

  it("H5: is over when its time is, and goes on growing when the node declines again", () => {
    const pauses = createBouncePauses();
    pauses.bounced(offer, 1000);
    expect(pauses.find(offer, 1199)).toEqual({ count: 1, leftMs: 1 });
    expect(pauses.nextEndMs(1000)).toBe(200);
    expect(pauses.find(offer, 1200)).toBeUndefined();
    expect(pauses.nextEndMs(1200)).toBeUndefined();
    pauses.bounced(offer, 5000);
    expect(pauses.find(offer, 5000)).toEqual({ count: 2, leftMs: 400 });
  });

  it("H5: holds for that task, that node and that connection alone", () => {
    const pauses = createBouncePauses();
    pauses.bounced(offer, 0);
    expect(pauses.find({ ...offer, taskId: "task_other" as TaskId }, 0)).toBeUndefined();
    expect(pauses.find({ ...offer, nodeId: "node_other" as NodeId }, 0)).toBeUndefined();
    expect(pauses.find({ ...offer, epoch: 2 }, 0)).toBeUndefined();
    pauses.bounced({ ...offer, epoch: 2 }, 0);
    expect(pauses.find({ ...offer, epoch: 2 }, 0)).toEqual({ count: 1, leftMs: 200 });
  });

  it("H5: is forgotten with its task", () => {
    const pauses = createBouncePauses();
    pauses.bounced(offer, 0);
    pauses.forget(TASK_ID);
    expect(pauses.find(offer, 0)).toBeUndefined();
    expect(pauses.nextEndMs(0)).toBeUndefined();
  });
});

describe("a node that declines for now", () => {
  let mesh: Mesh;
  let nodeId: NodeId;
  let sessionId: SessionId;
  let node: ScriptedNode;
  beforeEach(async () => {
    mesh = await openMesh();
    nodeId = await mesh.addNode();
    sessionId = await mesh.addSession([nodeId]);
    node = await mesh.connect(nodeId);
  });
  const attempts = (of: ScriptedNode, taskId: TaskId): number[] =>
    of.grants().flatMap(({ task, attempt }) => (task?.taskId === taskId ? [attempt] : []));
  const decline = async (taskId: TaskId, attempt: number): Promise<void> => {
    node.declined({ taskId, attempt }, false);
    await mesh.reaches(taskId, "queued");
    await turns();
  };

  it("H5: is asked again only after a pause that grows", async () => {
    const taskId = await mesh.submit(sessionId);
    await mesh.reaches(taskId, "leased");
    for (const [attempt, pauseMs] of [200, 400, 800].entries()) {
      await decline(taskId, attempt + 1);
      expect(attempts(node, taskId)).toHaveLength(attempt + 1);
      await mesh.clock.advance(pauseMs - 1);
      expect(attempts(node, taskId)).toHaveLength(attempt + 1);
      await mesh.clock.advance(1);
      await until(() => attempts(node, taskId).length === attempt + 2);
    }
  });

  it("H5: is passed over at once for another node", async () => {
    const taskId = await mesh.submit(sessionId);
    await mesh.reaches(taskId, "leased");
    const other = await mesh.addNode();
    await mesh.services.sessions.attach(alice, sessionId, { nodeId: other });
    const second = await mesh.connect(other);
    node.declined({ taskId, attempt: 1 }, false);
    await until(() => attempts(second, taskId).includes(2));
    expect(mesh.clock.monotonicMs()).toBe(0);
  });

  it("H5: still gets other tasks", async () => {
    const taskId = await mesh.submit(sessionId);
    await mesh.reaches(taskId, "leased");
    await decline(taskId, 1);
    const next = await mesh.submit(sessionId);
    await until(() => attempts(node, next).length === 1);
    expect(attempts(node, taskId)).toEqual([1]);
  });

  it("H5: is asked at once when it has reconnected", async () => {
    const taskId = await mesh.submit(sessionId);
    await mesh.reaches(taskId, "leased");
    await decline(taskId, 1);
    const again = await mesh.connect(nodeId);
    await until(() => attempts(again, taskId).includes(2));
    expect(mesh.clock.monotonicMs()).toBe(0);
  });

  it("H5: starts from the first pause again once it has run the task", async () => {
    const taskId = await mesh.submit(sessionId, { effect: "idempotent" });
    await mesh.reaches(taskId, "leased");
    await decline(taskId, 1);
    await mesh.clock.advance(200);
    await until(() => attempts(node, taskId).includes(2));
    node.started({ taskId, attempt: 2 });
    await mesh.reaches(taskId, "running");
    node.ended({ taskId, attempt: 2 }, { outcome: Outcome.INDETERMINATE });
    await until(() => attempts(node, taskId).includes(3));
    await decline(taskId, 3);
    await mesh.clock.advance(200);
    await until(() => attempts(node, taskId).includes(4));
  });

  it("H5: explain says so, and when it is asked again", async () => {
    const taskId = await mesh.submit(sessionId);
    await mesh.reaches(taskId, "leased");
    await decline(taskId, 1);
    const sentence = "node a did not keep the task once and is asked again in 0.2 s";
    expect(await mesh.services.tasks.explain(alice, taskId)).toMatchObject({
      summary: `waits: ${sentence}`,
      candidates: [{ isAble: true, isPaused: true, isEligible: false, freeSlots: 4, reason: sentence }],
    });
  });

  it("H5: a node whose lease fails, because a newer connection is on its way, is left alone as well", async () => {
    await mesh.raiseEpoch(nodeId);
    const taskId = await mesh.submit(sessionId);
    await turns();
    expect(await mesh.task(taskId)).toMatchObject({ state: "queued", attempt: 0 });
    expect((await mesh.services.tasks.explain(alice, taskId)).candidates).toMatchObject([{ isPaused: true }]);
    await mesh.clock.advance(200);
    expect((await mesh.services.tasks.explain(alice, taskId)).candidates[0]?.reason).toContain("2 times in a row");
  });
});
