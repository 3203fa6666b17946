import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { TaskRecord } from "../../src/store/records.js";
import { isFinal, MAX_TASK_NOTES, type TaskInputEvent, transition } from "../../src/tasks/machine.js";
import type { AttemptEnd } from "../../src/tasks/task-changes.js";
import { attemptRecord, NODE_ID, taskRecord } from "../support/task-record.js";

const end = (state: AttemptEnd["state"], changes: Partial<AttemptEnd> = {}): AttemptEnd => ({
  state,
  exitCode: state === "succeeded" ? 0 : null,
  signal: null,
  value: null,
  error: undefined,
  cause: "exit",
  isolation: undefined,
  ...changes,
});
const step = (task: TaskRecord, event: TaskInputEvent): TaskRecord | string => {
  const outcome = transition(task, event, 100);
  return outcome.kind === "changed" ? outcome.task : outcome.kind === "same" ? "same" : outcome.reason;
};
const lease: TaskInputEvent = { type: "lease", nodeId: NODE_ID, epoch: 7 };

describe("the transition table", () => {
  const rows: readonly (readonly [string, TaskRecord, TaskInputEvent, Partial<TaskRecord> | "same" | "refused"])[] = [
    [
      "queued -> leased",
      taskRecord(),
      lease,
      { state: "leased", attempt: 1, nodeId: NODE_ID, epoch: 7, leasedAtMs: 100 },
    ],
    ["queued -> cancelled", taskRecord(), { type: "cancel" }, { state: "cancelled", finishedAtMs: 100 }],
    ["queued -> timed_out", taskRecord(), { type: "queueTimeout" }, { state: "timed_out", cause: "timeout" }],
    ["queued -> rejected", taskRecord(), { type: "reject", error: { code: "X", message: "x" } }, { state: "rejected" }],
    ["queued: a start is refused", taskRecord(), { type: "start", attempt: 0, isolation: undefined }, "refused"],
    ["queued: an end is refused", taskRecord(), { type: "end", attempt: 0, end: end("succeeded") }, "refused"],
    [
      "leased -> running",
      attemptRecord("leased"),
      { type: "start", attempt: 1, isolation: { level: "none" } },
      { state: "running", startedAtMs: 100, isolation: { level: "none" } },
    ],
    [
      "leased -> queued when never started",
      attemptRecord("leased"),
      { type: "notStarted", attempt: 1, refusal: undefined, note: "n" },
      { state: "queued", nodeId: undefined, epoch: 0, attempt: 1 },
    ],
    [
      "leased -> rejected when refused for good",
      attemptRecord("leased"),
      { type: "notStarted", attempt: 1, refusal: { code: "X", message: "x" }, note: "n" },
      { state: "rejected", error: { code: "X", message: "x" } },
    ],
    [
      "leased, cancelling -> cancelled when never started",
      attemptRecord("leased", { cancelling: true }),
      { type: "notStarted", attempt: 1, refusal: undefined, note: "n" },
      { state: "cancelled", cancelling: false },
    ],
    ["leased: a second lease is refused", attemptRecord("leased"), lease, "refused"],
    ["leased -> cancelling", attemptRecord("leased"), { type: "cancel" }, { state: "leased", cancelling: true }],
    [
      "leased -> disconnected",
      attemptRecord("leased"),
      { type: "disconnect" },
      { disconnected: true, disconnectedAtMs: 100 },
    ],
    [
      "leased -> adopted running",
      attemptRecord("leased", { disconnected: true }),
      { type: "adopt", attempt: 1, epoch: 9, isRunning: true },
      { state: "running", epoch: 9, disconnected: false },
    ],
    [
      "running: declining is refused",
      attemptRecord("running"),
      { type: "notStarted", attempt: 1, refusal: undefined, note: "n" },
      "refused",
    ],
    [
      "running -> succeeded",
      attemptRecord("running"),
      { type: "end", attempt: 1, end: end("succeeded") },
      { state: "succeeded", exitCode: 0, finishedAtMs: 100 },
    ],
    [
      "running -> failed",
      attemptRecord("running"),
      { type: "end", attempt: 1, end: end("failed", { exitCode: 7 }) },
      { state: "failed", exitCode: 7 },
    ],
    [
      "running -> timed_out",
      attemptRecord("running"),
      { type: "end", attempt: 1, end: end("timed_out", { cause: "timeout" }) },
      { state: "timed_out", cause: "timeout" },
    ],
    [
      "running, cancelling -> succeeded when it finished first",
      attemptRecord("running", { cancelling: true }),
      { type: "end", attempt: 1, end: end("succeeded") },
      { state: "succeeded", cancelling: false },
    ],
    [
      "running, cancelling -> timed_out",
      attemptRecord("running", { cancelling: true }),
      { type: "end", attempt: 1, end: end("timed_out") },
      { state: "timed_out" },
    ],
    [
      "running: an end of another attempt is refused",
      attemptRecord("running"),
      { type: "end", attempt: 2, end: end("succeeded") },
      "refused",
    ],
    ["running -> stalled", attemptRecord("running"), { type: "stall", attempt: 1, stalled: true }, { stalled: true }],
    [
      "running: stalled again is the same",
      attemptRecord("running", { stalled: true }),
      { type: "stall", attempt: 1, stalled: true },
      "same",
    ],
    ["running: cancel twice is the same", attemptRecord("running", { cancelling: true }), { type: "cancel" }, "same"],
    [
      "running once -> indeterminate when lost",
      attemptRecord("running"),
      { type: "lose", attempt: 1, note: "gone" },
      { state: "indeterminate", cause: "node_lost" },
    ],
    [
      "running idempotent -> queued when lost",
      attemptRecord("running", { effect: "idempotent" }),
      { type: "lose", attempt: 1, note: "gone" },
      { state: "queued", attempt: 1 },
    ],
    [
      "running idempotent, cancelling -> indeterminate when lost",
      attemptRecord("running", { effect: "idempotent", cancelling: true }),
      { type: "lose", attempt: 1, note: "gone" },
      { state: "indeterminate" },
    ],
    [
      "running once -> indeterminate when its node lost it",
      attemptRecord("running"),
      { type: "end", attempt: 1, end: end("indeterminate") },
      { state: "indeterminate", cause: "node_lost" },
    ],
    [
      "running idempotent -> queued when its node lost it",
      attemptRecord("running", { effect: "idempotent" }),
      { type: "end", attempt: 1, end: end("indeterminate") },
      { state: "queued" },
    ],
    [
      "indeterminate -> failed by a late result",
      attemptRecord("running", { state: "indeterminate", cause: "node_lost" }),
      { type: "end", attempt: 1, end: end("failed", { exitCode: 3 }) },
      { state: "failed", exitCode: 3 },
    ],
    [
      "indeterminate: a late result of another attempt is refused",
      attemptRecord("running", { state: "indeterminate", cause: "node_lost" }),
      { type: "end", attempt: 2, end: end("failed") },
      "refused",
    ],
    [
      "indeterminate -> succeeded by its owner",
      attemptRecord("running", { state: "indeterminate", cause: "node_lost" }),
      { type: "resolve", state: "succeeded" },
      { state: "succeeded", cause: undefined },
    ],
    [
      "running: only an indeterminate task is resolved",
      attemptRecord("running"),
      { type: "resolve", state: "succeeded" },
      "refused",
    ],
    ["succeeded: cancel is the same", attemptRecord("running", { state: "succeeded" }), { type: "cancel" }, "same"],
    [
      "succeeded: another end is refused",
      attemptRecord("running", { state: "succeeded" }),
      { type: "end", attempt: 1, end: end("failed") },
      "refused",
    ],
  ];
  it.each(rows)("H4: %s", (...[, task, event, expected]) => {
    const after = step(task, event);
    if (expected === "same") expect(after).toBe("same");
    else if (expected === "refused") expect(after).toBeTypeOf("string");
    else expect(after).toMatchObject({ ...expected, revision: task.revision + 1 });
  });
});

const anyEvent = fc.oneof(
  fc.constant(lease),
  fc.constantFrom<TaskInputEvent>({ type: "cancel" }, { type: "queueTimeout" }, { type: "disconnect" }),
  fc.record({ type: fc.constant("start" as const), attempt: fc.nat(3), isolation: fc.constant(undefined) }),
  fc.record({
    type: fc.constant("notStarted" as const),
    attempt: fc.nat(3),
    refusal: fc.constant(undefined),
    note: fc.constant("n"),
  }),
  fc.record({
    type: fc.constant("end" as const),
    attempt: fc.nat(3),
    end: fc.constantFrom(
      end("succeeded"),
      end("failed"),
      end("cancelled"),
      end("timed_out"),
      end("rejected"),
      end("indeterminate"),
    ),
  }),
  fc.record({ type: fc.constant("adopt" as const), attempt: fc.nat(3), epoch: fc.nat(9), isRunning: fc.boolean() }),
  fc.record({ type: fc.constant("lose" as const), attempt: fc.nat(3), note: fc.constant("n") }),
  fc.record({ type: fc.constant("resolve" as const), state: fc.constantFrom("succeeded" as const, "failed" as const) }),
);

describe("any history of events", () => {
  it("H4: a final outcome never changes, but for an indeterminate one, once", () => {
    const property = fc.property(
      fc.constantFrom("once" as const, "idempotent" as const),
      fc.array(anyEvent, { maxLength: 40 }),
      (effect, events) => {
        let task = taskRecord({ effect });
        const finals: string[] = [];
        for (const event of events) {
          const outcome = transition(task, event, 100);
          if (outcome.kind !== "changed") continue;
          expect(outcome.task.revision).toBe(task.revision + 1);
          task = outcome.task;
          if (isFinal(task.state)) finals.push(task.state);
        }
        const settled = finals.filter((state) => state !== "indeterminate");
        expect(settled.length).toBeLessThanOrEqual(1);
        expect(finals.length).toBeLessThanOrEqual(2);
      },
    );
    fc.assert(property, { numRuns: 1000 });
  });

  it("E5: a once task is leased again only after its node said that it never started", () => {
    const property = fc.property(fc.array(anyEvent, { maxLength: 40 }), (events) => {
      let task = taskRecord();
      for (const event of events) {
        const outcome = transition(task, event, 100);
        if (outcome.kind !== "changed") continue;
        if (outcome.task.state === "queued") expect(event.type).toBe("notStarted");
        task = outcome.task;
      }
    });
    fc.assert(property, { numRuns: 1000 });
  });

  it("H5: placement notes stay bounded", () => {
    let task = taskRecord();
    for (let i = 1; i <= MAX_TASK_NOTES * 2; i++) {
      task = step(task, lease) as TaskRecord;
      task = step(task, { type: "notStarted", attempt: i, refusal: undefined, note: "n" }) as TaskRecord;
    }
    expect(task.notes).toHaveLength(MAX_TASK_NOTES);
    expect(task.attempt).toBe(MAX_TASK_NOTES * 2);
  });
});
