/**
 * Every line of the rules for outcomes, one row each: the transitions of a task, the races of a cancel, and what a hello
 * settles after a restart. The events go through the machine as the hub's parts propose them.
 */
import { describe, expect, it } from "vitest";
import type { TaskRecord } from "../../src/store/records.js";
import { type TaskInputEvent, transition } from "../../src/tasks/machine.js";
import { type Held, reconcile } from "../../src/tasks/recover.js";
import type { AttemptEnd } from "../../src/tasks/task-changes.js";
import { attemptRecord, NODE_ID, taskRecord } from "../support/task-record.js";

const end = (state: AttemptEnd["state"], changes: Partial<AttemptEnd> = {}): AttemptEnd => ({
  state,
  exitCode: null,
  signal: null,
  value: null,
  error: undefined,
  cause: undefined,
  isolation: undefined,
  ...changes,
});
const idempotent = { effect: "idempotent" } as const;
const away = { disconnected: true, disconnectedAtMs: 5 } as const;
const cancelling = { cancelling: true } as const;
const lost = { state: "indeterminate", cause: "node_lost", finishedAtMs: 50 } as const;

const lease: TaskInputEvent = { type: "lease", nodeId: NODE_ID, epoch: 3 };
const start: TaskInputEvent = { type: "start", attempt: 1, isolation: undefined };
const declined: TaskInputEvent = { type: "notStarted", attempt: 1, refusal: undefined, note: "declined" };
const refused: TaskInputEvent = { ...declined, refusal: { code: "GRANT_REFUSED", message: "no" } };
const silent: TaskInputEvent = { type: "lose", attempt: 1, note: "the node was silent for 30 s" };
const adopted: TaskInputEvent = { type: "adopt", attempt: 1, epoch: 4, isRunning: true };
const ends = (state: AttemptEnd["state"], changes: Partial<AttemptEnd> = {}, attempt = 1): TaskInputEvent => ({
  type: "end",
  attempt,
  end: end(state, changes),
});
const cancel: TaskInputEvent = { type: "cancel" };
const resolve: TaskInputEvent = { type: "resolve", state: "failed" };

type Row = readonly [
  rule: string,
  before: TaskRecord,
  event: TaskInputEvent,
  after: Partial<TaskRecord> | "same" | "refused",
];

describe("a transition", () => {
  const rows: readonly Row[] = [
    [
      "2: a claim counts the attempt and takes the epoch",
      taskRecord({ attempt: 4 }),
      lease,
      { state: "leased", attempt: 5, epoch: 3, nodeId: NODE_ID },
    ],
    ["2: what is leased is not claimed again", attemptRecord("leased"), lease, "refused"],
    ["3: started", attemptRecord("leased"), start, { state: "running", startedAtMs: 100 }],
    ["3: started, told twice", attemptRecord("running"), start, "same"],
    ["3: started, told by an older attempt", attemptRecord("leased", { attempt: 2 }), start, "refused"],
    [
      "4: declined for now",
      attemptRecord("leased"),
      declined,
      { state: "queued", nodeId: undefined, epoch: 0, attempt: 1 },
    ],
    ["4: declined after it was started", attemptRecord("running"), declined, "refused"],
    ["4: declined by an older attempt", attemptRecord("leased", { attempt: 2 }), declined, "refused"],
    [
      "5: the stream of a lease is lost",
      attemptRecord("leased"),
      { type: "disconnect" },
      { state: "leased", disconnected: true, disconnectedAtMs: 100 },
    ],
    [
      "5: the stream of a run is lost",
      attemptRecord("running"),
      { type: "disconnect" },
      { state: "running", disconnected: true },
    ],
    ["5: the stream is lost twice", attemptRecord("running", away), { type: "disconnect" }, "same"],
    [
      "6: the hello names it",
      attemptRecord("running", away),
      adopted,
      { state: "running", epoch: 4, disconnected: false, disconnectedAtMs: undefined },
    ],
    ["6: the hello names another attempt", attemptRecord("running", { ...away, attempt: 2 }), adopted, "refused"],
    [
      "7: silent, idempotent and leased",
      attemptRecord("leased", { ...away, ...idempotent }),
      silent,
      { state: "queued", nodeId: undefined, attempt: 1 },
    ],
    [
      "7: silent, idempotent and running",
      attemptRecord("running", { ...away, ...idempotent }),
      silent,
      { state: "queued", startedAtMs: undefined },
    ],
    [
      "8: silent, once and running",
      attemptRecord("running", away),
      silent,
      { state: "indeterminate", cause: "node_lost", error: expect.objectContaining({ code: "NODE_LOST" }) },
    ],
    [
      "8: silent, once and leased: the grant may have left",
      attemptRecord("leased", away),
      silent,
      { state: "indeterminate", cause: "node_lost" },
    ],
    [
      "9: the result of a run",
      attemptRecord("running"),
      ends("failed", { exitCode: 2, cause: "exit" }),
      { state: "failed", exitCode: 2, cause: "exit", finishedAtMs: 100 },
    ],
    [
      "9: the result of a lease whose start was not told",
      attemptRecord("leased"),
      ends("succeeded", { exitCode: 0 }),
      { state: "succeeded", exitCode: 0 },
    ],
    [
      "9: the result of a run that is disconnected",
      attemptRecord("running", away),
      ends("succeeded"),
      { state: "succeeded", disconnected: false },
    ],
    [
      "9: a time-out",
      attemptRecord("running"),
      ends("timed_out", { cause: "timeout" }),
      { state: "timed_out", cause: "timeout" },
    ],
    ["9: a result of an older attempt", attemptRecord("running", { attempt: 2 }), ends("succeeded"), "refused"],
    ["9: a second result", attemptRecord("running", { state: "succeeded" }), ends("failed"), "refused"],
    ["9: a result for what waits again", taskRecord({ attempt: 1 }), ends("succeeded"), "refused"],
    ["10: a cancel of what waits", taskRecord(), cancel, { state: "cancelled", attempt: 0 }],
    ["11: a cancel of a lease", attemptRecord("leased"), cancel, { state: "leased", cancelling: true }],
    ["11: a cancel of a run", attemptRecord("running"), cancel, { state: "running", cancelling: true }],
    [
      "12: the node says cancelled",
      attemptRecord("running", cancelling),
      ends("cancelled", { cause: "killed" }),
      { state: "cancelled", cause: "killed", cancelling: false },
    ],
    [
      "12: the node says succeeded",
      attemptRecord("running", cancelling),
      ends("succeeded"),
      { state: "succeeded", cancelling: false },
    ],
    [
      "12: the node says timed out",
      attemptRecord("running", cancelling),
      ends("timed_out"),
      { state: "timed_out", cancelling: false },
    ],
    [
      "12: a lease that is to be cancelled is declined",
      attemptRecord("leased", cancelling),
      declined,
      { state: "cancelled" },
    ],
    [
      "13: refused for good",
      attemptRecord("leased"),
      refused,
      { state: "rejected", error: { code: "GRANT_REFUSED", message: "no" } },
    ],
    [
      "13: could not be set up",
      attemptRecord("leased"),
      ends("rejected", { cause: "setup_failed" }),
      { state: "rejected", cause: "setup_failed" },
    ],
    [
      "14: the result comes late",
      taskRecord({ ...lost, attempt: 1 }),
      ends("succeeded", { exitCode: 0 }),
      { state: "succeeded", exitCode: 0, cause: undefined, error: undefined, finishedAtMs: 50 },
    ],
    ["14: the result of another attempt comes late", taskRecord({ ...lost, attempt: 2 }), ends("succeeded"), "refused"],
    ["14: the node does not know either", taskRecord({ ...lost, attempt: 1 }), ends("indeterminate"), "refused"],
    ["14: its owner resolves it", taskRecord({ ...lost, attempt: 1 }), resolve, { state: "failed", cause: undefined }],
    [
      "14: its owner resolved it before the result",
      taskRecord({ state: "failed", attempt: 1 }),
      ends("succeeded"),
      "refused",
    ],
    ["14: it is resolved twice", taskRecord({ state: "failed", attempt: 1 }), resolve, "refused"],
    [
      "queued -> rejected",
      taskRecord(),
      { type: "reject", error: { code: "X", message: "x" }, cause: "setup_failed" },
      { state: "rejected", cause: "setup_failed" },
    ],
    ["queued -> timed out", taskRecord(), { type: "queueTimeout" }, { state: "timed_out", cause: "timeout" }],
    ["a time-out of the queue comes too late", attemptRecord("leased"), { type: "queueTimeout" }, "refused"],
    [
      "started, then crashed: a once task",
      attemptRecord("running"),
      ends("indeterminate", { cause: "node_lost" }),
      { state: "indeterminate", cause: "node_lost" },
    ],
    [
      "started, then crashed: an idempotent task",
      attemptRecord("running", idempotent),
      ends("indeterminate"),
      { state: "queued", attempt: 1 },
    ],
  ];
  it.each(rows)("H4: %s", (...[, before, event, expected]) => check(before, event, expected));
});

describe("a race of a cancel", () => {
  const rows: readonly Row[] = [
    ["the claim was first", attemptRecord("leased"), cancel, { state: "leased", cancelling: true }],
    ["the cancel was first", taskRecord({ state: "cancelled" }), lease, "refused"],
    [
      "the grant comes behind the cancel: the node's tombstone speaks",
      attemptRecord("leased", cancelling),
      declined,
      { state: "cancelled" },
    ],
    ["the end was first", attemptRecord("running", { state: "succeeded" }), cancel, "same"],
    [
      "the end was first, at the node",
      attemptRecord("running", cancelling),
      ends("failed", { exitCode: 1 }),
      { state: "failed", exitCode: 1 },
    ],
    [
      "it is asked for while the node is away",
      attemptRecord("running", away),
      cancel,
      { cancelling: true, disconnected: true },
    ],
    [
      "the node comes back, and gets it",
      attemptRecord("running", { ...away, ...cancelling }),
      adopted,
      { cancelling: true, disconnected: false },
    ],
    [
      "the node never comes back",
      attemptRecord("running", { ...away, ...cancelling }),
      silent,
      {
        state: "indeterminate",
        cause: "node_lost",
        error: { code: "NODE_LOST", message: expect.stringContaining("a cancel was asked for") },
      },
    ],
    [
      "the node never comes back, and the task is idempotent: it is not started again",
      attemptRecord("running", { ...away, ...cancelling, ...idempotent }),
      silent,
      { state: "indeterminate" },
    ],
    ["it is asked for twice", attemptRecord("running", cancelling), cancel, "same"],
  ];
  it.each(rows)("E3: %s", (...[, before, event, expected]) => check(before, event, expected));
});

describe("the hello of a node after a restart", () => {
  const rows: readonly (readonly [
    string,
    TaskRecord,
    Held["state"] | "other attempt" | undefined,
    Partial<TaskRecord>,
    boolean,
  ])[] = [
    [
      "leased, and it runs",
      attemptRecord("leased", away),
      "running",
      { state: "running", epoch: 4, disconnected: false },
      false,
    ],
    [
      "leased, and it is stored",
      attemptRecord("leased", away),
      "stored",
      { state: "leased", epoch: 4, disconnected: false },
      false,
    ],
    ["leased, and never seen", attemptRecord("leased", away), undefined, { state: "queued", attempt: 1 }, false],
    [
      "leased, and never to be started",
      attemptRecord("leased", away),
      "neverStarted",
      { state: "queued", attempt: 1 },
      false,
    ],
    [
      "leased, to be cancelled, and never to be started",
      attemptRecord("leased", { ...away, ...cancelling }),
      "neverStarted",
      { state: "cancelled" },
      false,
    ],
    [
      "running, and it runs",
      attemptRecord("running", away),
      "running",
      { state: "running", epoch: 4, disconnected: false },
      false,
    ],
    [
      "running, and done: the result follows",
      attemptRecord("running", away),
      "finished",
      { state: "running", epoch: 4 },
      false,
    ],
    [
      "running, and gone: a once task",
      attemptRecord("running", away),
      undefined,
      { state: "indeterminate", cause: "node_lost" },
      false,
    ],
    [
      "running, and gone: an idempotent task",
      attemptRecord("running", { ...away, ...idempotent }),
      undefined,
      { state: "queued" },
      false,
    ],
    [
      "running as another attempt",
      attemptRecord("running", { ...away, attempt: 2 }),
      "other attempt",
      { state: "indeterminate" },
      true,
    ],
  ];
  it.each(rows)("H4: %s", (...[, task, state, expected, isEnded]) => {
    const held: Held[] = [];
    if (state === "other attempt") held.push({ taskId: task.taskId, attempt: 1, state: "running" });
    else if (state !== undefined) held.push({ taskId: task.taskId, attempt: task.attempt, state });
    const { changes, unwanted } = reconcile([task], held, 4);
    expect(changes).toHaveLength(1);
    check(task, changes[0]!.event, expected);
    expect(unwanted).toHaveLength(isEnded ? 1 : 0);
  });

  it("H4: what ended, or is not known, and runs: it is to be ended", () => {
    expect(reconcile([], [{ taskId: taskRecord().taskId, attempt: 1, state: "running" }], 4)).toMatchObject({
      changes: [],
      unwanted: [{ attempt: 1 }],
    });
  });
});

function check(before: TaskRecord, event: TaskInputEvent, expected: Row[3]): void {
  const outcome = transition(before, event, 100);
  if (expected === "same" || expected === "refused") expect(outcome.kind).toBe(expected);
  else expect(outcome).toMatchObject({ kind: "changed", task: { ...expected, revision: before.revision + 1 } });
}
