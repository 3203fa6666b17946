/** Ends that the node decides without a skill: encoded TaskResponse messages, as they are stored and sent. */
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Outcome, TaskResponseSchema } from "@cortex-mesh/protocol/gen";
import type { AttemptRecord } from "../state/node-state.js";

/** Encodes a response. */
export function encodeResponse(response: MessageInitShape<typeof TaskResponseSchema>): Uint8Array {
  return toBinary(TaskResponseSchema, create(TaskResponseSchema, response));
}

/** The record of an attempt that was cancelled before it started. */
export function cancelledBeforeStart(
  attempt: Pick<AttemptRecord, "taskId" | "attempt" | "grantId">,
  nowMs: number,
): AttemptRecord {
  const response = encodeResponse({
    taskId: attempt.taskId,
    attempt: attempt.attempt,
    outcome: Outcome.CANCELLED,
    cause: "killed",
    errorCode: "CANCELLED",
    errorMessage: "the task was cancelled before it started",
    finishedAtMs: BigInt(nowMs),
  });
  return {
    taskId: attempt.taskId,
    attempt: attempt.attempt,
    grantId: attempt.grantId,
    state: "finished",
    startedAtMs: 0,
    response,
    hasLog: false,
    lastLogSeq: 0,
    changedAtMs: nowMs,
  };
}

/** The record that ends an attempt whose node died while it may have run. */
export function lostWithNode(record: AttemptRecord, lastLogSeq: number, nowMs: number): AttemptRecord {
  const response = encodeResponse({
    taskId: record.taskId,
    attempt: record.attempt,
    outcome: Outcome.INDETERMINATE,
    cause: "node_lost",
    errorCode: "UNAVAILABLE",
    errorMessage: "the node stopped while the task was running; whether it finished is not known",
    lastLogSeq: BigInt(lastLogSeq),
    startedAtMs: BigInt(record.startedAtMs),
    finishedAtMs: BigInt(nowMs),
  });
  return { ...record, state: "finished", response, hasLog: lastLogSeq > 0, lastLogSeq, changedAtMs: nowMs };
}
