/** The end of an attempt as it is stored and sent. Pure. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { CortexError, MAX_TASK_INPUT_BYTES, type OpenedTaskGrant } from "@cortex-mesh/protocol";
import { type IsolationReportSchema, Outcome } from "@cortex-mesh/protocol/gen";
import { encodeResponse } from "../inbox/responses.js";
import type { IsolationReport } from "../sandbox/report.js";
import { encodeJson } from "../skills/encode-json.js";
import type { AttemptRecord } from "../state/node-state.js";
import type { AttemptOutcome } from "./outcome.js";

/** Largest value of a result, as JSON: with the rest of the response it stays within a control message. */
export const MAX_RESULT_VALUE_BYTES = MAX_TASK_INPUT_BYTES;

/** What is known of an attempt that ended. */
export interface EndedAttempt {
  readonly grant: OpenedTaskGrant;
  readonly startedAtMs: number;
  readonly finishedAtMs: number;
  readonly lastLogSeq: number;
  /** Whether its log is in the spool. */
  readonly hasLog: boolean;
  /** Undefined when it was never started. */
  readonly isolation: IsolationReport | undefined;
}

/** An isolation report as it travels. */
export function toWireReport(report: IsolationReport): MessageInitShape<typeof IsolationReportSchema> {
  return {
    level: report.level,
    driver: report.driver,
    enforced: { ...report.enforced },
    workspacePath: report.workspacePath,
  };
}

/** The record of an attempt that ended. */
export function finishedRecord(ended: EndedAttempt, outcome: AttemptOutcome): AttemptRecord {
  const { taskId, attempt, grantId } = ended.grant;
  const { valueJson, fault } = encodeValue(outcome.value);
  const response = encodeResponse({
    taskId,
    attempt,
    outcome: fault === undefined ? outcome.outcome : Outcome.FAILED,
    ...(outcome.exitCode === undefined ? {} : { exitCode: outcome.exitCode }),
    signal: outcome.signal,
    valueJson,
    errorCode: fault?.code ?? outcome.errorCode,
    errorMessage: fault?.message ?? outcome.errorMessage,
    cause: outcome.cause,
    lastLogSeq: BigInt(ended.lastLogSeq),
    startedAtMs: BigInt(ended.startedAtMs),
    finishedAtMs: BigInt(ended.finishedAtMs),
    ...(ended.isolation === undefined ? {} : { isolation: toWireReport(ended.isolation) }),
    usage: { wallMs: BigInt(Math.max(0, ended.finishedAtMs - ended.startedAtMs)) },
  });
  return {
    taskId,
    attempt,
    grantId,
    state: "finished",
    startedAtMs: ended.startedAtMs,
    response,
    hasLog: ended.hasLog,
    lastLogSeq: ended.lastLogSeq,
    changedAtMs: ended.finishedAtMs,
  };
}

function encodeValue(value: unknown): { readonly valueJson: Uint8Array; readonly fault: CortexError | undefined } {
  const none = new Uint8Array(0);
  if (value === undefined || value === null) return { valueJson: none, fault: undefined };
  let valueJson: Uint8Array;
  try {
    valueJson = encodeJson(value);
  } catch (cause) {
    return { valueJson: none, fault: new CortexError("INTERNAL", "the result of the skill is not JSON", { cause }) };
  }
  if (valueJson.byteLength <= MAX_RESULT_VALUE_BYTES) return { valueJson, fault: undefined };
  const problem = `the result has ${valueJson.byteLength} bytes as JSON, the limit is ${MAX_RESULT_VALUE_BYTES}`;
  return { valueJson: none, fault: new CortexError("TOO_LARGE", problem) };
}
