import { beforeEach, describe, expect, it } from "vitest";
import type { NodeId, SessionId, TaskId } from "@cortex-mesh/protocol";
import { Outcome } from "@cortex-mesh/protocol/gen";
import { systemScope } from "../../src/access/scope.js";
import { FIRST_BOUNCE_PAUSE_MS } from "../../src/tasks/bounce-pause.js";
import { createTaskWriter } from "../../src/tasks/commit.js";
import { createOutputReceiver } from "../../src/tasks/output.js";
import { createTaskReports } from "../../src/tasks/reports.js";
import { createLocalWake } from "../../src/wake/local.js";
import { alice, type Mesh, openMesh } from "../support/open-mesh.js";
import type { ScriptedNode } from "../support/scripted-node.js";
import { turns, until } from "../support/until.js";

let mesh: Mesh;
let nodeId: NodeId;
let sessionId: SessionId;
let node: ScriptedNode;
let taskId: TaskId;
beforeEach(async () => {
  mesh = await openMesh({ deadlines: { lostAfterMs: 1_000, reconnectWindowMs: 2_000 } });
  nodeId = await mesh.addNode();
  sessionId = await mesh.addSession([nodeId]);
  node = await mesh.connect(nodeId);
  taskId = await mesh.submit(sessionId);
  await mesh.reaches(taskId, "leased");
});

const attempt = () => ({ taskId, attempt: 1 });

describe("what a node reports", () => {
  it("E2: a started task runs, and says under which isolation", async () => {
    node.started(attempt());
    expect(await mesh.reaches(taskId, "running")).toMatchObject({ isolation: { level: "none" } });
  });

  it("E2: a silent task is stalled, and active again when it speaks", async () => {
    node.started(attempt());
    node.say({ case: "progress", value: { ...attempt(), stalled: true } });
    await until(async () => (await mesh.task(taskId)).stalled);
    node.say({ case: "progress", value: { ...attempt(), stalled: false } });
    await until(async () => !(await mesh.task(taskId)).stalled);
  });

  it("H5: a task that is declined for now is given again, one that is declined for good is rejected", async () => {
    node.declined(attempt(), false);
    await mesh.reaches(taskId, "queued");
    await mesh.clock.advance(FIRST_BOUNCE_PAUSE_MS);
    await until(async () => (await mesh.task(taskId)).attempt === 2);
    node.declined({ taskId, attempt: 2 }, true);
    expect(await mesh.reaches(taskId, "rejected")).toMatchObject({ error: { code: "GRANT_REFUSED" } });
  });

  it("H4: a result is acknowledged after its end is stored, with the output complete", async () => {
    node.ended(attempt(), { outcome: Outcome.FAILED, exitCode: 3 });
    await until(() => node.bodies("responseAck").length === 1);
    expect(await mesh.task(taskId)).toMatchObject({ state: "failed", exitCode: 3 });
    expect(await mesh.store.events.output(systemScope, taskId)).toMatchObject({ complete: true });
  });

  it("H4: a result that could not be stored is not acknowledged, and the node is sent to repeat it", async () => {
    mesh.faults.isStoreFull = true;
    node.ended(attempt());
    expect(await until(() => node.tasksClosed)).toMatchObject({ code: "UNAVAILABLE" });
    expect(node.bodies("responseAck")).toEqual([]);
    mesh.faults.isStoreFull = false;
    const again = await mesh.dial(nodeId);
    await again.hello([{ ...attempt(), state: 3 }]);
    again.ended(attempt());
    await mesh.reaches(taskId, "succeeded");
  });

  it("H4: a result waits until its output is stored", async () => {
    node.ended(attempt(), { lastLogSeq: 2 });
    node.log(attempt(), { seq: 1, text: "a" });
    await until(() => node.acked(attempt()) === 1);
    await turns();
    expect((await mesh.task(taskId)).state).toBe("leased");
    node.log(attempt(), { seq: 2, text: "b" });
    await mesh.reaches(taskId, "succeeded");
    expect(await mesh.store.events.output(systemScope, taskId)).toMatchObject({ stdoutBytes: 2, complete: true });
  });

  it("H4: a result that comes twice is acknowledged twice and recorded once", async () => {
    node.ended(attempt(), { exitCode: 0 });
    node.ended(attempt(), { outcome: Outcome.FAILED, exitCode: 9 });
    await until(() => node.bodies("responseAck").length === 2);
    node.ended(attempt(), { outcome: Outcome.FAILED, exitCode: 9 });
    await until(() => node.bodies("responseAck").length === 3);
    expect(await mesh.task(taskId)).toMatchObject({ state: "succeeded", exitCode: 0 });
    const events = await mesh.store.events.read(systemScope, taskId, { afterSeq: 0, limit: 100 });
    expect(events.filter(({ data }) => (data as { state?: string }).state === "succeeded")).toHaveLength(1);
  });
});

describe("a report that does not count", () => {
  it("I8: is one of a node that does not hold the attempt", async () => {
    const strange = await mesh.connect(await mesh.addNode({ ownerId: "bob" as never }));
    strange.started(attempt());
    strange.ended(attempt());
    await until(() => strange.bodies("responseAck").length === 1);
    expect(await mesh.task(taskId)).toMatchObject({ state: "leased" });
    expect(mesh.warnings).toHaveLength(2);
  });

  it("H4: is one of another attempt; its result is acknowledged, so that the node forgets it", async () => {
    node.declined(attempt(), false);
    await mesh.reaches(taskId, "queued");
    await mesh.clock.advance(FIRST_BOUNCE_PAUSE_MS);
    await until(async () => (await mesh.task(taskId)).attempt === 2);
    node.started(attempt());
    node.ended(attempt());
    await until(() => node.bodies("responseAck").length === 1);
    expect(await mesh.task(taskId)).toMatchObject({ state: "leased", attempt: 2 });
  });

  it("H4: is one of an older connection", async () => {
    const { store } = mesh;
    const wake = createLocalWake();
    const output = createOutputReceiver({
      store,
      files: mesh.files,
      wake,
      clock: mesh.clock,
      onError: () => undefined,
    });
    const writer = createTaskWriter({ store, wake, clock: mesh.clock });
    const late: string[] = [];
    const reports = createTaskReports({
      store,
      writer,
      output,
      onLateReport: (_source, reason) => void late.push(reason),
    });
    await mesh.dial(nodeId).then((again) => again.hello([{ ...attempt(), state: 2 }]));
    await mesh.reaches(taskId, "running");
    await reports.started({ nodeId, epoch: node.epoch, ...attempt() }, undefined);
    const end = {
      state: "failed",
      exitCode: 1,
      signal: null,
      value: null,
      error: undefined,
      cause: "exit",
      isolation: undefined,
    } as const;
    expect(await reports.ended({ nodeId, epoch: node.epoch, ...attempt() }, { ...end, lastLogSeq: 0 })).toBe(false);
    expect(await mesh.task(taskId)).toMatchObject({ state: "running" });
    expect(late).toHaveLength(2);
    await output.close();
  });
});

describe("a node that comes back too late", () => {
  it("H4: resolves an indeterminate task with its result, once", async () => {
    node.started(attempt());
    await mesh.reaches(taskId, "running");
    node.tasks.close();
    await until(async () => (await mesh.task(taskId)).disconnected);
    await mesh.clock.advance(2_000);
    await mesh.reaches(taskId, "indeterminate");
    const again = await mesh.dial(nodeId);
    await again.hello([{ ...attempt(), state: 3 }]);
    again.log(attempt(), { seq: 1, text: "late" });
    again.ended(attempt(), { outcome: Outcome.FAILED, exitCode: 4, lastLogSeq: 1 });
    expect(await mesh.reaches(taskId, "failed")).toMatchObject({ exitCode: 4 });
    await until(() => again.bodies("responseAck").length === 1);
    expect(await mesh.store.events.output(systemScope, taskId)).toMatchObject({ stdoutBytes: 4 });
    await expect(mesh.services.tasks.resolve(alice, taskId, "succeeded")).rejects.toMatchObject({
      code: "ALREADY_ENDED",
    });
  });

  it("H4: changes nothing when its owner resolved the task before", async () => {
    node.tasks.close();
    await until(async () => (await mesh.task(taskId)).disconnected);
    await mesh.clock.advance(2_000);
    await mesh.reaches(taskId, "indeterminate");
    await mesh.services.tasks.resolve(alice, taskId, "cancelled");
    const again = await mesh.connect(nodeId);
    again.ended(attempt());
    await until(() => again.bodies("responseAck").length === 1);
    expect(await mesh.task(taskId)).toMatchObject({ state: "cancelled" });
  });
});
