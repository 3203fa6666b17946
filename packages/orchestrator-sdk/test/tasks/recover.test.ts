import { describe, expect, it } from "vitest";
import type { TaskId } from "@cortex-mesh/protocol";
import { type Held, reconcile } from "../../src/tasks/recover.js";
import { attemptRecord, TASK_ID } from "../support/task-record.js";

const held = (state: Held["state"], changes: Partial<Held> = {}): Held => ({
  taskId: TASK_ID,
  attempt: 1,
  state,
  ...changes,
});

describe("a node says hello", () => {
  it.each([
    ["stored", "leased", { type: "adopt", isRunning: false }],
    ["running", "leased", { type: "adopt", isRunning: true }],
    ["running", "running", { type: "adopt", isRunning: true }],
    ["finished", "running", { type: "adopt", isRunning: true }],
    ["neverStarted", "leased", { type: "notStarted", refusal: undefined }],
    ["neverStarted", "running", { type: "lose" }],
  ] as const)("H4: it holds an attempt as %s that the hub has as %s", (state, task, event) => {
    const { changes, unwanted } = reconcile([attemptRecord(task)], [held(state)], 5);
    expect(changes).toMatchObject([{ taskId: TASK_ID, event }]);
    expect(unwanted).toEqual([]);
  });

  it("E5: a leased attempt that it does not name goes back to the queue", () => {
    expect(reconcile([attemptRecord("leased")], [], 5).changes).toMatchObject([
      { event: { type: "notStarted", attempt: 1 } },
    ]);
  });

  it("H4: a running attempt that it does not name is lost", () => {
    expect(reconcile([attemptRecord("running")], [], 5).changes).toMatchObject([
      { event: { type: "lose", attempt: 1 } },
    ]);
  });

  it("I4: what it runs and nobody wants is to be ended; what it finished is not", () => {
    const foreign = held("running", { taskId: "task_01J00000000000000000000009" as TaskId });
    const older = held("stored", { attempt: 1 });
    const { changes, unwanted } = reconcile(
      [attemptRecord("running", { attempt: 2 })],
      [older, foreign, held("finished", { taskId: "task_01J00000000000000000000008" as TaskId })],
      5,
    );
    expect(unwanted).toEqual([older, foreign]);
    expect(changes).toMatchObject([{ event: { type: "lose", attempt: 2 } }]);
  });

  it("H4: of several attempts of one task the newest counts", () => {
    const { changes } = reconcile(
      [attemptRecord("leased", { attempt: 2 })],
      [held("neverStarted"), held("running", { attempt: 2 })],
      5,
    );
    expect(changes).toMatchObject([{ event: { type: "adopt", attempt: 2, epoch: 5, isRunning: true } }]);
  });
});
