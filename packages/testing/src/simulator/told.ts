/** What users were told of each task and when, and whether what ran fits it. */
import { checkLifetime, isCancelInReach } from "./check-lifetimes.js";
import type { Effects } from "./effects.js";
import { isEnded } from "./end-states.js";
import type { Reach } from "./reach.js";

/** What an oracle knows besides what users are told. */
export interface OracleOptions {
  readonly effects: Effects;
  readonly reach: Reach;
  /** Virtual time. */
  readonly nowMs: () => number;
  /** A cancel met a running process that it has to end in time. */
  readonly onCancelInReach?: () => void;
}

/** Remembers what users were told. */
export interface ToldTasks {
  asked(taskId: string, timeoutMs: number | undefined): void;
  cancelled(taskId: string): void;
  saw(task: ToldTask): void;
  /** Judges every process by what was told of its task. */
  judge(): void;
}

interface ToldTask {
  readonly taskId: string;
  readonly state: string;
  readonly output: { readonly stdoutBytes: number; readonly stderrBytes: number; readonly complete: boolean };
}

interface Facts {
  timeoutMs: number | undefined;
  endSeenAtMs: number | undefined;
  cancelledAtMs: number | undefined;
  wasIndeterminate: boolean;
  /** Bytes of both streams when they were said to be complete. */
  completeBytes: number | undefined;
}

/** Makes an empty memory. */
export function createTold(options: OracleOptions, add: (taskId: string, what: string) => void): ToldTasks {
  const { effects, reach, nowMs, onCancelInReach } = options;
  const told = new Map<string, Facts>();
  const of = (taskId: string): Facts => {
    const known = told.get(taskId) ?? noFacts();
    told.set(taskId, known);
    return known;
  };
  return {
    asked(taskId, timeoutMs) {
      of(taskId).timeoutMs = timeoutMs;
    },
    cancelled(taskId) {
      of(taskId).cancelledAtMs ??= nowMs();
    },
    saw({ taskId, state, output }) {
      const facts = of(taskId);
      if (state === "indeterminate") facts.wasIndeterminate = true;
      else if (isEnded(state)) facts.endSeenAtMs ??= nowMs();
      const bytes = output.stdoutBytes + output.stderrBytes;
      const { completeBytes = bytes } = facts;
      if (completeBytes !== bytes) {
        add(taskId, `was said to have its output complete at ${completeBytes} bytes, and has ${bytes} now`);
      }
      facts.completeBytes = output.complete || facts.completeBytes !== undefined ? bytes : undefined;
    },
    judge() {
      for (const effect of effects.all()) {
        const { taskId } = effect;
        const { wasIndeterminate, ...known } = of(taskId);
        // Of an end that is not known a process may still come to light, whatever a user made of it.
        const facts = { ...known, endSeenAtMs: wasIndeterminate ? undefined : known.endSeenAtMs };
        for (const what of checkLifetime(effect, facts, { reach, nowMs: nowMs() })) add(taskId, what);
        if (isCancelInReach(effect, facts, reach)) onCancelInReach?.();
      }
    },
  };
}

function noFacts(): Facts {
  return {
    timeoutMs: undefined,
    endSeenAtMs: undefined,
    cancelledAtMs: undefined,
    wasIndeterminate: false,
    completeBytes: undefined,
  };
}
