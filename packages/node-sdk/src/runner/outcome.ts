/** How an attempt ended, from what happened to it. Pure. */
import { type CortexErrorCode, isCortexError, type SkillEnd } from "@cortex-mesh/protocol";
import { Outcome } from "@cortex-mesh/protocol/gen";

/** Why the node stopped an attempt. The first reason counts. */
export type StopReason = "cancel" | "timeout" | "output" | "disk";

/** What became of the skill. */
export type AttemptEnd =
  | { readonly kind: "ended"; readonly end: SkillEnd }
  | { readonly kind: "threw"; readonly error: unknown }
  /** It was never started. */
  | { readonly kind: "not_started"; readonly error: unknown };

/** The end in the words of the protocol. */
export interface AttemptOutcome {
  readonly outcome: Outcome;
  readonly cause: string;
  readonly exitCode: number | undefined;
  /** Empty when no signal ended it. */
  readonly signal: string;
  /** Undefined when there is no value to report. */
  readonly value: unknown;
  readonly errorCode: string;
  readonly errorMessage: string;
}

/** Longest message of an error that travels, in characters. */
const MAX_MESSAGE_CHARS = 1024;

interface StopWords {
  readonly outcome: Outcome;
  readonly cause: string;
  readonly code: CortexErrorCode;
  readonly text: string;
}

const STOPPED: Readonly<Record<StopReason, StopWords>> = {
  cancel: { outcome: Outcome.CANCELLED, cause: "killed", code: "CANCELLED", text: "the task was cancelled" },
  timeout: {
    outcome: Outcome.TIMED_OUT,
    cause: "timeout",
    code: "TIMED_OUT",
    text: "the task ran longer than allowed",
  },
  output: {
    outcome: Outcome.FAILED,
    cause: "output",
    code: "QUOTA_EXCEEDED",
    text: "the task wrote more than allowed",
  },
  disk: { outcome: Outcome.FAILED, cause: "disk", code: "STORAGE_FULL", text: "the node could not keep the output" },
};

/** Says how an attempt ended. `stop` is the first reason it was stopped for, before it had ended. */
export function outcomeOf(end: AttemptEnd, stop: StopReason | undefined): AttemptOutcome {
  const process = end.kind === "ended" ? end.end.process : undefined;
  const facts = { exitCode: process?.exitCode ?? undefined, signal: process?.signal ?? "" };
  if (stop !== undefined) {
    const { outcome, cause, code, text } = STOPPED[stop];
    return { outcome, cause, ...facts, value: undefined, errorCode: code, errorMessage: text };
  }
  switch (end.kind) {
    case "not_started":
      return { outcome: Outcome.REJECTED, cause: "setup_failed", ...facts, value: undefined, ...describe(end.error) };
    case "threw":
      return { outcome: Outcome.FAILED, cause: "exit", ...facts, value: undefined, ...describe(end.error) };
    case "ended":
      return endedByItself(end.end, facts);
  }
}

function endedByItself(
  end: SkillEnd,
  facts: { readonly exitCode: number | undefined; readonly signal: string },
): AttemptOutcome {
  const isSuccess = end.process === undefined || end.process.exitCode === 0;
  return {
    outcome: isSuccess ? Outcome.SUCCEEDED : Outcome.FAILED,
    // A signal that the node did not send came from outside: the system's memory killer, or somebody on the machine.
    cause: facts.signal === "" ? "exit" : "killed",
    ...facts,
    value: end.value,
    errorCode: "",
    errorMessage: "",
  };
}

function describe(error: unknown): { readonly errorCode: string; readonly errorMessage: string } {
  // What is no Error is not made a text: that would run code of whoever threw it.
  const message = error instanceof Error || isCortexError(error) ? error.message : "the skill threw what is no error";
  const errorCode = isCortexError(error) ? error.code : "INTERNAL";
  return { errorCode, errorMessage: message.slice(0, MAX_MESSAGE_CHARS) };
}
