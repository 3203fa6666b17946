/** The task as users see it. */
import { z } from "zod";
import { isFinal } from "../../tasks/machine.js";
import type { TaskExplanation, TaskView } from "../../tasks/task-service.js";
import { json, jsonObject } from "./json.js";
import { time, toTime } from "./time.js";

/** States of a task; the last six are final. */
export const taskState = z.enum([
  "queued",
  "leased",
  "running",
  "succeeded",
  "failed",
  "cancelled",
  "timed_out",
  "rejected",
  "indeterminate",
]);

const taskCause = z.enum([
  "exit",
  "timeout",
  "oom",
  "pids",
  "cpu",
  "output",
  "disk",
  "killed",
  "setup_failed",
  "node_lost",
]);

/** Schema of a task. */
export const taskResource = z.strictObject({
  taskId: z.string(),
  revision: z.int(),
  sessionId: z.string(),
  ownerId: z.string(),
  /** Where the current attempt is; null while it waits. */
  nodeId: z.string().nullable(),
  skill: z.string(),
  input: json,
  state: taskState,
  disconnected: z.boolean(),
  cancelling: z.boolean(),
  stalled: z.boolean(),
  effect: z.enum(["once", "idempotent"]),
  attempt: z.int(),
  createdAt: time,
  startedAt: time.nullable(),
  finishedAt: time.nullable(),
  /** Null until the task ended. */
  result: z.strictObject({ exitCode: z.int().nullable(), signal: z.string().nullable(), value: json }).nullable(),
  error: z.strictObject({ code: z.string(), message: z.string() }).nullable(),
  cause: taskCause.nullable(),
  output: z.strictObject({
    lastSeq: z.int(),
    stdoutBytes: z.int(),
    stderrBytes: z.int(),
    complete: z.boolean(),
  }),
  /** What was enforced; null until the node reported it. */
  isolation: jsonObject.nullable(),
});

/** A task as users see it. */
export type TaskResource = z.output<typeof taskResource>;

/** Makes the resource. */
export function toTaskResource({ task, request, output }: TaskView): TaskResource {
  const { exitCode, signal, value } = task;
  return {
    taskId: task.taskId,
    revision: task.revision,
    sessionId: task.sessionId,
    ownerId: task.ownerId,
    nodeId: task.nodeId ?? null,
    skill: request.skill,
    input: request.input,
    state: task.state,
    disconnected: task.disconnected,
    cancelling: task.cancelling,
    stalled: task.stalled,
    effect: task.effect,
    attempt: task.attempt,
    createdAt: toTime(task.createdAtMs),
    startedAt: toTime(task.startedAtMs),
    finishedAt: toTime(task.finishedAtMs),
    result: isFinal(task.state) ? { exitCode, signal, value } : null,
    error: task.error === undefined ? null : { code: task.error.code, message: task.error.message },
    cause: task.cause ?? null,
    output: {
      lastSeq: output.lastSeq,
      stdoutBytes: output.stdoutBytes,
      stderrBytes: output.stderrBytes,
      complete: output.complete,
    },
    isolation: task.isolation ?? null,
  };
}

/** Schema of an explanation. */
export const explanationResource = z.strictObject({
  taskId: z.string(),
  state: taskState,
  summary: z.string(),
  candidates: z.array(
    z.strictObject({
      nodeId: z.string(),
      name: z.string(),
      /** By what it registered it meets every need of the task. */
      isAble: z.boolean(),
      isOnline: z.boolean(),
      isDraining: z.boolean(),
      /** It did not keep the task, and is asked again a little later. */
      isPaused: z.boolean(),
      /** 0 while it is offline. */
      freeSlots: z.int(),
      /** It can take the task now. */
      isEligible: z.boolean(),
      /** What is in the way, as a sentence. */
      reason: z.string(),
    }),
  ),
  notes: z.array(z.strictObject({ at: time, text: z.string() })),
});

/** Makes the explanation. */
export function toExplanationResource(explanation: TaskExplanation): z.output<typeof explanationResource> {
  const { taskId, state, summary, candidates, notes } = explanation;
  return {
    taskId,
    state,
    summary,
    candidates: candidates.map((candidate) => ({ ...candidate })),
    notes: notes.map(({ atMs, text }) => ({ at: toTime(atMs), text })),
  };
}
