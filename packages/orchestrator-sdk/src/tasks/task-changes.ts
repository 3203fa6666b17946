/** What a change of state does to the other fields of a task. Pure; whether it may happen is decided in `machine`. */
import type { Json, JsonObject, TaskCause, TaskRecord, TaskState } from "../store/records.js";

/** How an attempt ended, as its node reports it. */
export interface AttemptEnd {
  readonly state: "succeeded" | "failed" | "cancelled" | "timed_out" | "rejected" | "indeterminate";
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly value: Json;
  readonly error: TaskRecord["error"];
  readonly cause: TaskCause | undefined;
  readonly isolation: JsonObject | undefined;
}

/** It is over as its node reports. */
export function withEnd(task: TaskRecord, end: AttemptEnd, nowMs: number): Partial<TaskRecord> {
  const { state, exitCode, signal, value, error, cause } = end;
  return {
    ...ended(task, state, nowMs),
    exitCode,
    signal,
    value,
    error,
    cause,
    isolation: end.isolation ?? task.isolation,
  };
}

/** It is over, for good or as far as is known. */
export function ended(task: TaskRecord, state: TaskState, nowMs: number): Partial<TaskRecord> {
  return {
    state,
    finishedAtMs: task.finishedAtMs ?? nowMs,
    disconnected: false,
    disconnectedAtMs: undefined,
    cancelling: false,
    stalled: false,
  };
}

/** It waits for a node again; its wait counts anew only when the attempt ran. */
export function requeued(task: TaskRecord, nowMs: number): Partial<TaskRecord> {
  return {
    state: "queued",
    queuedAtMs: task.state === "running" ? nowMs : task.queuedAtMs,
    nodeId: undefined,
    epoch: 0,
    leasedAtMs: undefined,
    startedAtMs: undefined,
    disconnected: false,
    disconnectedAtMs: undefined,
    stalled: false,
  };
}
