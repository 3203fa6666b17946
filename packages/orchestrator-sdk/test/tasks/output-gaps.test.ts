import { beforeEach, describe, expect, it, vi } from "vitest";
import type { TaskId } from "@cortex-mesh/protocol";
import { LogKind } from "@cortex-mesh/protocol/gen";
import { systemScope } from "../../src/access/scope.js";
import { alice, type Mesh, openMesh } from "../support/open-mesh.js";
import type { ScriptedNode } from "../support/scripted-node.js";
import { until } from "../support/until.js";

let mesh: Mesh;
let node: ScriptedNode;
let taskId: TaskId;
beforeEach(async () => {
  mesh = await openMesh();
  const nodeId = await mesh.addNode();
  const sessionId = await mesh.addSession([nodeId]);
  node = await mesh.connect(nodeId);
  taskId = await mesh.submit(sessionId);
  await mesh.reaches(taskId, "leased");
});

const attempt = () => ({ taskId, attempt: 1 });
const acked = (seq: number) => until(() => node.acked(attempt()) === seq);
const gaps = async () =>
  (await mesh.store.events.read(systemScope, taskId, { afterSeq: 0, limit: 100 })).filter(({ kind }) => kind === "gap");

describe("records that a node has lost", () => {
  it("T8: are a gap event; the log goes on after them, and the task ends with its output incomplete", async () => {
    node.ended(attempt(), { lastLogSeq: 10 });
    node.log(attempt(), { seq: 1, text: "a" });
    node.log(attempt(), { seq: 2, throughSeq: 9 });
    await acked(9);
    expect((await mesh.task(taskId)).state).toBe("leased");
    node.log(attempt(), { seq: 10, text: "b" });
    await mesh.reaches(taskId, "succeeded");
    expect(await gaps()).toMatchObject([{ data: { reason: "lost" } }]);
    expect(await mesh.store.events.output(systemScope, taskId)).toMatchObject({ stdoutBytes: 2, complete: false });
  });

  it("T8: at the end let the result through", async () => {
    node.ended(attempt(), { lastLogSeq: 5 });
    node.log(attempt(), { seq: 1, throughSeq: 5 });
    await mesh.reaches(taskId, "succeeded");
    expect(await mesh.store.events.output(systemScope, taskId)).toMatchObject({ complete: false });
  });

  it("T8: that the hub has in part are a gap of the rest; that it has wholly are none", async () => {
    for (const [seq, text] of [
      [1, "a"],
      [2, "b"],
      [3, "c"],
    ] as const)
      node.log(attempt(), { seq, text });
    await acked(3);
    node.log(attempt(), { seq: 1, throughSeq: 3 });
    node.log(attempt(), { seq: 2, throughSeq: 6 });
    await acked(6);
    expect(await gaps()).toHaveLength(1);
    node.log(attempt(), { seq: 7, text: "d" });
    await acked(7);
  });

  it("T8: behind a hole are not taken: the hub asks for what is before them", async () => {
    node.log(attempt(), { seq: 3, throughSeq: 6 });
    node.log(attempt(), { seq: 1, text: "a" });
    await acked(1);
    expect(await gaps()).toEqual([]);
  });

  it("T5: a gap by policy leaves the output incomplete, too", async () => {
    node.ended(attempt(), { lastLogSeq: 1 });
    node.log(attempt(), { seq: 1, kind: LogKind.GAP });
    await mesh.reaches(taskId, "succeeded");
    expect(await mesh.store.events.output(systemScope, taskId)).toMatchObject({ complete: false });
  });

  it("T5: a gap of an earlier attempt leaves the output incomplete, also when the last one printed nothing", async () => {
    node.log(attempt(), { seq: 1, throughSeq: 5 });
    await acked(5);
    node.declined(attempt(), false);
    await mesh.reaches(taskId, "queued");
    await mesh.services.tasks.cancel(alice, taskId);
    const task = await mesh.reaches(taskId, "cancelled");
    expect(await mesh.store.events.output(systemScope, task.taskId)).toMatchObject({ hasGap: true, complete: false });
  });

  it("T5: whether there is a gap costs the same at the end of a task, however many events it has", async () => {
    const output = { kind: "stdout", atMs: 1, data: null, offset: 0, length: 1 } as const;
    await mesh.store.transaction(async (tx) => void (await tx.events.append(taskId, Array(2_500).fill(output))));
    const read = vi.spyOn(mesh.store.events, "read");
    node.log(attempt(), { seq: 1, text: "a" });
    node.ended(attempt(), { lastLogSeq: 1 });
    await mesh.reaches(taskId, "succeeded");
    expect(read).not.toHaveBeenCalled();
    expect(await mesh.store.events.output(systemScope, taskId)).toMatchObject({ hasGap: false, complete: true });
  });
});
