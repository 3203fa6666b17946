/**
 * The life of a task as a pure function: (task, event, now) to (task, what to record) or a refusal.
 *
 * Invariants:
 * - M1 a final state never changes, except that `indeterminate` may be resolved once.
 * - M2 a report counts only when it names the current attempt; the hub checks the connection's epoch before it asks.
 * - M3 every lease counts the attempt up by one; a `once` task goes back to the queue only when its node has durably
 *   said that it never started the attempt.
 * - M4 a refused event changes nothing and says why, so that the caller can record a late report.
 *
 * Source: the transition table of `docs/architecture.md`.
 */
import type { NodeId } from "@cortex-mesh/protocol";
import type { JsonObject, TaskCause, TaskRecord, TaskState } from "../store/records.js";
import { type AttemptEnd, ended, requeued, withEnd } from "./task-changes.js";

/** Everything that can happen to a task. */
export type TaskInputEvent =
  | { readonly type: "lease"; readonly nodeId: NodeId; readonly epoch: number }
  | { readonly type: "start"; readonly attempt: number; readonly isolation: JsonObject | undefined }
  /** The node durably never starts the attempt; `refusal` is set when no other node would either. */
  | {
      readonly type: "notStarted";
      readonly attempt: number;
      readonly refusal: TaskRecord["error"];
      readonly note: string;
    }
  | { readonly type: "end"; readonly attempt: number; readonly end: AttemptEnd }
  | { readonly type: "stall"; readonly attempt: number; readonly stalled: boolean }
  | { readonly type: "disconnect" }
  | { readonly type: "adopt"; readonly attempt: number; readonly epoch: number; readonly isRunning: boolean }
  /** The node is gone for good, or came back without the attempt. */
  | { readonly type: "lose"; readonly attempt: number; readonly note: string }
  | { readonly type: "cancel" }
  | { readonly type: "queueTimeout" }
  | { readonly type: "reject"; readonly error: NonNullable<TaskRecord["error"]>; readonly cause?: TaskCause }
  | { readonly type: "resolve"; readonly state: "succeeded" | "failed" | "cancelled" };

/** What an event did. */
export type Transition =
  | { readonly kind: "changed"; readonly task: TaskRecord }
  /** Nothing to do: the event repeats what is already so. */
  | { readonly kind: "same" }
  | { readonly kind: "refused"; readonly reason: string };

/** Placement notes kept with a task; older ones are dropped. */
export const MAX_TASK_NOTES = 16;

const FINAL_STATES: ReadonlySet<TaskState> = new Set([
  "succeeded",
  "failed",
  "cancelled",
  "timed_out",
  "rejected",
  "indeterminate",
]);

/** Whether a task in this state has ended. */
export function isFinal(state: TaskState): boolean {
  return FINAL_STATES.has(state);
}

/** Applies one event. The returned task has the next revision. */
export function transition(task: TaskRecord, event: TaskInputEvent, nowMs: number): Transition {
  const step = decide(task, event, nowMs);
  if (step.kind !== "change") return step;
  const notes =
    step.note === undefined ? task.notes : [...task.notes, { atMs: nowMs, text: step.note }].slice(-MAX_TASK_NOTES);
  return { kind: "changed", task: { ...task, ...step.patch, notes, revision: task.revision + 1 } };
}

/** A wished change before revision and notes are filled in. */
type Step =
  | { readonly kind: "change"; readonly patch: Partial<TaskRecord>; readonly note?: string }
  | { readonly kind: "same" }
  | { readonly kind: "refused"; readonly reason: string };

const same: Step = { kind: "same" };
const refuse = (reason: string): Step => ({ kind: "refused", reason });
const change = (patch: Partial<TaskRecord>, note?: string): Step => ({
  kind: "change",
  patch,
  ...(note === undefined ? {} : { note }),
});

function decide(task: TaskRecord, event: TaskInputEvent, nowMs: number): Step {
  if (event.type === "resolve") return decideResolve(task, event.state, nowMs);
  if (event.type === "end" && task.state === "indeterminate") return decideLateEnd(task, event, nowMs);
  if (isFinal(task.state)) return event.type === "cancel" ? same : refuse(`the task has ended: ${task.state}`);
  if ("attempt" in event && event.attempt !== task.attempt) {
    return refuse(`attempt ${event.attempt} reports, attempt ${task.attempt} is current`);
  }
  switch (event.type) {
    case "lease":
      return task.state === "queued" ? lease(task, event, nowMs) : refuse(`not waiting: ${task.state}`);
    case "start":
      return decideStart(task, event.isolation, nowMs);
    case "notStarted":
      return decideNotStarted(task, event, nowMs);
    case "end":
      return decideEnd(task, event.end, nowMs);
    case "stall":
      return task.state !== "running" || task.stalled === event.stalled ? same : change({ stalled: event.stalled });
    case "disconnect":
      if (task.state === "queued" || task.disconnected) return same;
      return change({ disconnected: true, disconnectedAtMs: nowMs });
    case "adopt":
      return decideAdopt(task, event, nowMs);
    case "lose":
      return decideLose(task, { note: event.note }, nowMs);
    case "cancel":
      if (task.state === "queued") return change(ended(task, "cancelled", nowMs), "cancelled before it was placed");
      return task.cancelling ? same : change({ cancelling: true });
    case "queueTimeout":
      if (task.state !== "queued") return refuse(`not waiting: ${task.state}`);
      return change({
        ...ended(task, "timed_out", nowMs),
        cause: "timeout",
        error: { code: "TIMED_OUT", message: "no node took the task within queueTimeoutMs" },
      });
    case "reject":
      if (task.state !== "queued") return refuse(`not waiting: ${task.state}`);
      return change({ ...ended(task, "rejected", nowMs), error: event.error, cause: event.cause });
  }
}

function lease(task: TaskRecord, event: { readonly nodeId: NodeId; readonly epoch: number }, nowMs: number): Step {
  const patch = {
    state: "leased",
    nodeId: event.nodeId,
    epoch: event.epoch,
    attempt: task.attempt + 1,
    leasedAtMs: nowMs,
  } as const;
  return change(patch, `attempt ${patch.attempt} leased to ${event.nodeId}`);
}

function decideStart(task: TaskRecord, isolation: JsonObject | undefined, nowMs: number): Step {
  if (task.state === "running") return same;
  if (task.state !== "leased") return refuse(`not leased: ${task.state}`);
  return change({ state: "running", startedAtMs: nowMs, isolation });
}

function decideNotStarted(
  task: TaskRecord,
  event: { readonly refusal: TaskRecord["error"]; readonly note: string },
  nowMs: number,
): Step {
  if (task.state !== "leased") return refuse(`a started task cannot be declined: ${task.state}`);
  if (task.cancelling) return change(ended(task, "cancelled", nowMs), event.note);
  if (event.refusal !== undefined)
    return change({ ...ended(task, "rejected", nowMs), error: event.refusal }, event.note);
  return change(requeued(task, nowMs), event.note);
}

function decideEnd(task: TaskRecord, end: AttemptEnd, nowMs: number): Step {
  if (task.state === "queued") return refuse("not leased");
  if (end.state === "indeterminate") return decideLose(task, { note: "the node lost the attempt", end }, nowMs);
  return change(withEnd(task, end, nowMs));
}

function decideLateEnd(
  task: TaskRecord,
  event: { readonly attempt: number; readonly end: AttemptEnd },
  nowMs: number,
): Step {
  if (event.attempt !== task.attempt)
    return refuse(`attempt ${event.attempt} reports, attempt ${task.attempt} is current`);
  if (task.cause !== "node_lost" || event.end.state === "indeterminate")
    return refuse("the outcome is settled as indeterminate");
  return change(withEnd(task, event.end, nowMs), "the node came back with the result");
}

function decideAdopt(
  task: TaskRecord,
  event: { readonly epoch: number; readonly isRunning: boolean },
  nowMs: number,
): Step {
  if (task.state === "queued") return refuse("not leased");
  const started = event.isRunning && task.state === "leased" ? ({ state: "running", startedAtMs: nowMs } as const) : {};
  return change({ ...started, epoch: event.epoch, disconnected: false, disconnectedAtMs: undefined });
}

function decideLose(
  task: TaskRecord,
  { note, end }: { readonly note: string; readonly end?: AttemptEnd },
  nowMs: number,
): Step {
  if (task.state === "queued") return refuse("not leased");
  if (task.effect === "idempotent" && !task.cancelling) return change(requeued(task, nowMs), note);
  const isolation = end?.isolation ?? task.isolation;
  const asked = task.cancelling ? "; a cancel was asked for, whether it came in time is not known either" : "";
  const error = { code: "NODE_LOST", message: `${note}; whether the work was done is not known${asked}` };
  return change({ ...ended(task, "indeterminate", nowMs), cause: "node_lost", error, isolation }, note);
}

function decideResolve(task: TaskRecord, state: "succeeded" | "failed" | "cancelled", nowMs: number): Step {
  if (task.state !== "indeterminate")
    return refuse(`only an indeterminate task can be resolved, this one is ${task.state}`);
  // The cause goes, so that a result of the node that comes later finds nothing left to decide (M1).
  return change(
    { state, cause: undefined, error: undefined },
    `resolved as ${state} by its owner at ${new Date(nowMs).toISOString()}`,
  );
}
