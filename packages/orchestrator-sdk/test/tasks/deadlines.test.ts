import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import type { NodeId, SessionId, TaskId } from "@cortex-mesh/protocol";
import { createHub } from "../../src/hub.js";
import { LEASE_MS } from "../../src/link/report-health.js";
import { bouncePauseMs } from "../../src/tasks/bounce-pause.js";
import { checkDeadlines } from "../../src/tasks/deadlines.js";
import { alice, type Mesh, openMesh } from "../support/open-mesh.js";
import type { ScriptedNode } from "../support/scripted-node.js";
import { turns, until } from "../support/until.js";

const LOST_MS = 1_000;
const WINDOW_MS = 5_000;
let mesh: Mesh;
let nodeId: NodeId;
let sessionId: SessionId;
beforeEach(async () => {
  mesh = await openMesh({ deadlines: { lostAfterMs: LOST_MS, reconnectWindowMs: WINDOW_MS, restartFreezeMs: 500 } });
  nodeId = await mesh.addNode();
  sessionId = await mesh.addSession([nodeId]);
});

async function loseNode(changes: object = {}): Promise<{ readonly taskId: TaskId; readonly node: ScriptedNode }> {
  const node = await mesh.connect(nodeId);
  const taskId = await mesh.submit(sessionId, changes);
  await mesh.reaches(taskId, "leased");
  node.started({ taskId, attempt: 1 });
  await mesh.reaches(taskId, "running");
  node.tasks.close();
  await until(async () => (await mesh.task(taskId)).disconnected);
  return { taskId, node };
}

describe("a task in the queue", () => {
  it("H5: is timed out when no node took it in time", async () => {
    const taskId = await mesh.submit(sessionId, { queueTimeoutMs: 500 });
    await mesh.clock.advance(499);
    expect((await mesh.task(taskId)).state).toBe("queued");
    await mesh.clock.advance(1);
    expect(await mesh.reaches(taskId, "timed_out")).toMatchObject({ cause: "timeout", attempt: 0 });
  });

  it("H5: has no time-out while a node has it, and is over when that gives it back unstarted too late", async () => {
    const node = await mesh.connect(nodeId, { request: { maxTasks: 1 } });
    const taskId = await mesh.submit(sessionId, { queueTimeoutMs: 500 });
    await mesh.reaches(taskId, "leased");
    await mesh.clock.advance(5_000);
    expect((await mesh.task(taskId)).state).toBe("leased");
    node.say({ case: "draining", value: {} });
    node.declined({ taskId, attempt: 1 }, false);
    await mesh.reaches(taskId, "queued");
    await mesh.clock.advance(0);
    await mesh.reaches(taskId, "timed_out");
  });

  it("H5: is timed out in the end by a node that declines it again and again", async () => {
    const node = await mesh.connect(nodeId);
    const taskId = await mesh.submit(sessionId, { queueTimeoutMs: 3_000 });
    for (let attempt = 1; attempt <= 4; attempt++) {
      await until(() => node.grants().some((grant) => grant.attempt === attempt));
      node.declined({ taskId, attempt }, false);
      await mesh.reaches(taskId, "queued");
      await mesh.clock.advance(bouncePauseMs(attempt));
    }
    await mesh.reaches(taskId, "timed_out");
    expect(mesh.clock.monotonicMs()).toBe(3_000);
  });

  it("H5: waits anew after an attempt that ran and was lost", async () => {
    const { taskId } = await loseNode({ effect: "idempotent", queueTimeoutMs: 500 });
    await mesh.clock.advance(LOST_MS);
    await mesh.reaches(taskId, "queued");
    await mesh.clock.advance(499);
    expect((await mesh.task(taskId)).state).toBe("queued");
    await mesh.clock.advance(1);
    await mesh.reaches(taskId, "timed_out");
  });

  it.each([
    ["400 ms later", 400, 100],
    ["a day later", 86_400_000, 0],
    ["with a clock that was set back", -86_400_000, 500],
  ])("H5: has waited from its submission when the hub starts again %s", async (_when, laterMs, leftMs) => {
    const taskId = await mesh.submit(sessionId, { queueTimeoutMs: 500 });
    const next = await mesh.restart({ nowMs: mesh.clock.nowMs() + laterMs });
    if (leftMs > 0) await next.clock.advance(leftMs - 1);
    if (leftMs > 0) expect((await next.task(taskId)).state).toBe("queued");
    await next.clock.advance(1);
    await next.reaches(taskId, "timed_out");
  });
});

describe("the wait of a task over a restart of the hub", () => {
  it("H5: is not set back by a node that declined it", async () => {
    const node = await mesh.connect(nodeId);
    const taskId = await mesh.submit(sessionId, { queueTimeoutMs: 500 });
    await mesh.reaches(taskId, "leased");
    await mesh.clock.advance(300);
    node.say({ case: "draining", value: {} });
    node.declined({ taskId, attempt: 1 }, false);
    await mesh.reaches(taskId, "queued");
    const next = await mesh.restart({ nowMs: mesh.clock.nowMs() });
    await next.clock.advance(199);
    expect((await next.task(taskId)).state).toBe("queued");
    await next.clock.advance(1);
    await next.reaches(taskId, "timed_out");
  });

  it("H5: counts from the loss of the attempt that ran", async () => {
    const { taskId } = await loseNode({ effect: "idempotent", queueTimeoutMs: 500 });
    await mesh.clock.advance(LOST_MS);
    await mesh.reaches(taskId, "queued");
    await mesh.clock.advance(300);
    const next = await mesh.restart({ nowMs: mesh.clock.nowMs() });
    await next.clock.advance(199);
    expect((await next.task(taskId)).state).toBe("queued");
    await next.clock.advance(1);
    await next.reaches(taskId, "timed_out");
  });
});

describe("the times of a hub", () => {
  it.each([
    ["lostAfterMs", [Number.NaN, -1, 0, 24_999, Number.POSITIVE_INFINITY, 2 ** 31]],
    ["reconnectWindowMs", [Number.NaN, -1, 0, 24_999, Number.POSITIVE_INFINITY, 2 ** 31]],
    ["maxFreezeMs", [Number.NaN, -1, 0, Number.POSITIVE_INFINITY, 2 ** 31]],
    ["restartFreezeMs", [Number.NaN, -1, 0, Number.POSITIVE_INFINITY, 2 ** 31]],
  ] as const)("E5: are in their range: %s", (name, wrong) => {
    for (const ms of wrong) {
      expect(() => checkDeadlines({ [name]: ms }, LEASE_MS), `${ms}`).toThrow(
        new RegExp(`^deadlines.${name} is ${ms} ms`),
      );
    }
    for (const ms of [undefined, 25_000, 2 ** 31 - 1])
      expect(() => checkDeadlines({ [name]: ms }, LEASE_MS)).not.toThrow();
  });

  it("E5: are checked before a hub opens anything", async () => {
    const data = join(tmpdir(), `cortex-never-made-${process.pid}`);
    await expect(createHub({ data, deadlines: { lostAfterMs: 20_000 } })).rejects.toThrow(RangeError);
    expect(existsSync(data)).toBe(false);
  });
});

describe("a task whose node is silent", () => {
  it("E5: is indeterminate after the reconnect window, and never given to another node", async () => {
    const { taskId } = await loseNode();
    await mesh.clock.advance(WINDOW_MS - 1);
    expect((await mesh.task(taskId)).state).toBe("running");
    await mesh.clock.advance(1);
    expect(await mesh.reaches(taskId, "indeterminate")).toMatchObject({ cause: "node_lost", attempt: 1 });
  });

  it("E5: goes back to the queue after a short while when it is idempotent", async () => {
    const { taskId } = await loseNode({ effect: "idempotent" });
    await mesh.clock.advance(LOST_MS);
    expect(await mesh.reaches(taskId, "queued")).toMatchObject({ attempt: 1, nodeId: undefined });
    const again = await mesh.connect(nodeId);
    await until(() => again.grants().some(({ attempt }) => attempt === 2));
  });

  it("E3: is kept for the whole window when it is to be cancelled, also an idempotent one: nobody else would get it", async () => {
    const { taskId } = await loseNode({ effect: "idempotent" });
    await mesh.clock.advance(LOST_MS - 1);
    await mesh.services.tasks.cancel(alice, taskId);
    await mesh.clock.advance(WINDOW_MS - LOST_MS);
    expect(await mesh.task(taskId)).toMatchObject({ state: "running", cancelling: true, disconnected: true });
    await mesh.clock.advance(1);
    const task = await mesh.reaches(taskId, "indeterminate");
    expect(task).toMatchObject({ cause: "node_lost", error: { code: "NODE_LOST" } });
    expect(task.error?.message).toContain("a cancel was asked for");
  });

  it("T8: is kept when the node comes back in time", async () => {
    const { taskId } = await loseNode();
    await mesh.clock.advance(WINDOW_MS - 1);
    const again = await mesh.dial(nodeId);
    await again.hello([{ taskId, attempt: 1, state: 2 }]);
    // The new connection is kept alive while the old deadline passes.
    for (let elapsedMs = 0; elapsedMs < 3 * WINDOW_MS; elapsedMs += 4_000) {
      again.heartbeat();
      await mesh.clock.advance(4_000);
    }
    expect(await mesh.task(taskId)).toMatchObject({ state: "running", disconnected: false });
  });

  it("E5: has the whole window again after each return", async () => {
    const { taskId } = await loseNode();
    await mesh.clock.advance(WINDOW_MS - 1_000);
    const again = await mesh.dial(nodeId);
    await again.hello([{ taskId, attempt: 1, state: 2 }]);
    await until(async () => !(await mesh.task(taskId)).disconnected);
    again.tasks.close();
    await until(async () => (await mesh.task(taskId)).disconnected);
    await mesh.clock.advance(WINDOW_MS - 1);
    expect((await mesh.task(taskId)).state).toBe("running");
    await mesh.clock.advance(1);
    await mesh.reaches(taskId, "indeterminate");
  });

  it("T8: is kept when its node comes back in the moment the deadline fires", async () => {
    const { taskId } = await loseNode();
    await mesh.clock.advance(WINDOW_MS - 1);
    const epoch = await mesh.raiseEpoch(nodeId);
    // The adoption stands in the queue of the store before the deadline's write.
    const adopted = mesh.store.transaction(async (tx) => {
      const task = await tx.tasks.get(alice.scope, taskId);
      if (task === undefined) throw new Error("no task");
      await mesh.clock.advance(1);
      await tx.tasks.update({
        ...task,
        revision: task.revision + 1,
        epoch,
        disconnected: false,
        disconnectedAtMs: undefined,
      });
    });
    await adopted;
    await turns();
    expect(await mesh.task(taskId)).toMatchObject({ state: "running" });
    expect(mesh.errors).toEqual([]);
  });

  it("H4: is settled later when the write of its deadline fails", async () => {
    const { taskId } = await loseNode();
    mesh.faults.isStoreFull = true;
    await mesh.clock.advance(WINDOW_MS);
    await until(() => mesh.errors.length > 0);
    mesh.faults.isStoreFull = false;
    await mesh.clock.advance(1_000);
    await mesh.reaches(taskId, "indeterminate");
  });
});

describe("a hub that starts again", () => {
  it("H4: counts the silence from its start, never its own absence", async () => {
    const { taskId } = await loseNode();
    await mesh.clock.advance(WINDOW_MS - 1);
    const next = await mesh.restart();
    await next.clock.advance(WINDOW_MS - 1);
    expect((await next.task(taskId)).state).toBe("running");
    await next.clock.advance(1);
    await next.reaches(taskId, "indeterminate");
  });

  it("H4: marks what ran as disconnected, and goes on timing the queue", async () => {
    const node = await mesh.connect(nodeId, { request: { maxTasks: 1 } });
    const running = await mesh.submit(sessionId);
    await mesh.reaches(running, "leased");
    node.started({ taskId: running, attempt: 1 });
    await mesh.reaches(running, "running");
    const queued = await mesh.submit(sessionId, { queueTimeoutMs: 500 });
    const next = await mesh.restart();
    expect(await next.task(running)).toMatchObject({ state: "running", disconnected: true });
    await next.clock.advance(500);
    await next.reaches(queued, "timed_out");
  });

  it("H4: leaves no timer behind when it closes", async () => {
    await loseNode();
    await mesh.submit(sessionId, { queueTimeoutMs: 500 });
    const again = await mesh.connect(nodeId);
    await mesh.parts.close();
    expect(again.tasksClosed).not.toBeUndefined();
    expect(mesh.clock.pendingCount).toBe(0);
  });
});
