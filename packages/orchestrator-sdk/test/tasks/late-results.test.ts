/** Results after the hub has given an attempt up: noted, applied once at most, and always answered. */
import { beforeEach, describe, expect, it } from "vitest";
import type { NodeId, SessionId, TaskId } from "@cortex-mesh/protocol";
import { Outcome } from "@cortex-mesh/protocol/gen";
import { alice, type Mesh, openMesh } from "../support/open-mesh.js";
import { turns, until } from "../support/until.js";

describe("a result that comes late", () => {
  let mesh: Mesh;
  let nodeId: NodeId;
  let sessionId: SessionId;
  let taskId: TaskId;
  beforeEach(async () => {
    mesh = await openMesh({ deadlines: { reconnectWindowMs: 2_000 } });
    nodeId = await mesh.addNode();
    sessionId = await mesh.addSession([nodeId]);
  });
  const runAndLose = async (): Promise<void> => {
    const node = await mesh.connect(nodeId);
    taskId = await mesh.submit(sessionId);
    await mesh.reaches(taskId, "leased");
    node.started({ taskId, attempt: 1 });
    await mesh.reaches(taskId, "running");
    node.tasks.close();
    await until(async () => (await mesh.task(taskId)).disconnected);
  };
  const acks = (node: Awaited<ReturnType<Mesh["connect"]>>): number => node.bodies("responseAck").length;

  it("H4: says that the node does not know: it is noted, and the node may forget the attempt", async () => {
    await runAndLose();
    await mesh.clock.advance(2_000);
    await mesh.reaches(taskId, "indeterminate");
    const again = await mesh.dial(nodeId);
    await again.hello([{ taskId, attempt: 1, state: 3 }]);
    again.ended({ taskId, attempt: 1 }, { outcome: Outcome.INDETERMINATE });
    await until(() => acks(again) === 1);
    expect(mesh.warnings.at(-1)).toMatchObject({ taskId, reason: "the outcome is settled as indeterminate" });
  });

  it("H4: says in time that the node does not know: the node may forget the attempt", async () => {
    await runAndLose();
    const again = await mesh.dial(nodeId);
    await again.hello([{ taskId, attempt: 1, state: 3 }]);
    again.ended({ taskId, attempt: 1 }, { outcome: Outcome.INDETERMINATE });
    await mesh.reaches(taskId, "indeterminate");
    await until(() => acks(again) === 1);
  });

  it("H4: is applied once, however often and over however many connections it comes", async () => {
    await runAndLose();
    await mesh.clock.advance(2_000);
    await mesh.reaches(taskId, "indeterminate");
    for (let exitCode = 1; exitCode <= 3; exitCode++) {
      const again = await mesh.dial(nodeId);
      await again.hello([{ taskId, attempt: 1, state: 3 }]);
      again.ended({ taskId, attempt: 1 }, { outcome: Outcome.FAILED, exitCode });
      await until(() => acks(again) === 1);
    }
    const { state, exitCode } = await mesh.task(taskId);
    expect({ state, exitCode }).toEqual({ state: "failed", exitCode: 1 });
    await turns();
    const { notes } = await mesh.services.tasks.explain(alice, taskId);
    expect(notes.filter(({ text }) => text === "the node came back with the result")).toHaveLength(1);
  });
});
