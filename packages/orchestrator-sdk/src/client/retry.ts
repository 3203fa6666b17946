/**
 * When to try again, and how long to wait before. The decision is pure; clock and random are passed in.
 */
import { type Clock, CortexError, isCortexError, type Timer } from "@cortex-mesh/protocol/portable";

/** How long a hub that cannot be reached is borne. */
export interface RetryOptions {
  /** For calls that may be repeated, and for the first connection of a stream; 0 for one try. @default 5,000 */
  readonly callMs?: number | undefined;
  /** For a stream that was connected, from its cut; 0 for no return. @default 120,000 */
  readonly streamMs?: number | undefined;
}

/** A call is repeated for as long as a hub takes to restart. */
export const DEFAULT_CALL_RETRY_MS = 5_000;
/** A stream waits for as long as a machine takes to restart. */
export const DEFAULT_STREAM_RETRY_MS = 120_000;

/** First wait: a hub that restarts is back soon. */
const FIRST_DELAY_MS = 100;
/** Longest wait: above it a person wonders whether anything happens. */
const MAX_DELAY_MS = 5_000;
/** Doublings after which the longest wait is reached. */
const MAX_DOUBLINGS = 10;

/** What is known when a try has failed. */
export interface FailedTry {
  /** Tries that failed in a row, this one included. */
  readonly failures: number;
  /** Since the first of them. */
  readonly elapsedMs: number;
  readonly budgetMs: number;
  /** At least 0, below 1. */
  readonly random: number;
}

/**
 * How long to wait before the next try; undefined when the budget is used up.
 *
 * Doubles from 100 ms to 5 s, less up to half by chance, so that clients of one hub do not come back as one.
 */
export function nextDelayMs({ failures, elapsedMs, budgetMs, random }: FailedTry): number | undefined {
  const fullMs = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(failures - 1, MAX_DOUBLINGS));
  const delayMs = fullMs * (1 - random / 2);
  return elapsedMs + delayMs > budgetMs ? undefined : delayMs;
}

/** Whether the same request may succeed soon: the hub was not reached, or was cut off, not heard and refused. */
export function isTransient(error: unknown): boolean {
  if (!isCortexError(error)) return false;
  return error.code === "UNAVAILABLE" || error.code === "TIMED_OUT" || error.code === "STREAM_GAP";
}

/** The failures in a row of one call or stream. */
export interface RetryPolicy {
  /**
   * Waits before the next try.
   *
   * @param canPass whether the same request may succeed soon. @default what {@link isTransient} says
   * @throws what failed, when it cannot pass or the budget is used up; CortexError `CANCELLED` when `signal` aborts.
   */
  wait(error: unknown, budgetMs: number, canPass?: boolean): Promise<void>;
  /** Something went well: the next failure is a first one. */
  reset(): void;
}

/** Makes the policy of one call or stream. */
export function createRetryPolicy(options: {
  readonly clock: Clock;
  readonly random: () => number;
  readonly signal: AbortSignal | undefined;
}): RetryPolicy {
  const { clock, random, signal } = options;
  let failures = 0;
  let sinceMs = 0;
  return {
    async wait(error, budgetMs, canPass = isTransient(error)) {
      if (!canPass) throw error;
      const nowMs = clock.monotonicMs();
      if (failures === 0) sinceMs = nowMs;
      failures += 1;
      const delayMs = nextDelayMs({ failures, elapsedMs: nowMs - sinceMs, budgetMs, random: random() });
      if (delayMs === undefined) throw error;
      await sleep(clock, delayMs, signal);
    },
    reset() {
      failures = 0;
    },
  };
}

async function sleep(clock: Clock, delayMs: number, signal: AbortSignal | undefined): Promise<void> {
  let timer: Timer | undefined;
  let wake = (): void => undefined;
  try {
    await new Promise<void>((resolve) => {
      wake = resolve;
      timer = clock.setTimer(resolve, delayMs);
      signal?.addEventListener("abort", wake, { once: true });
      if (signal?.aborted === true) resolve();
    });
  } finally {
    timer?.cancel();
    signal?.removeEventListener("abort", wake);
  }
  if (signal?.aborted === true) throw withdrawn(signal);
}

/** The error of a call that its caller ended. */
export function withdrawn(signal: AbortSignal): CortexError {
  return new CortexError("CANCELLED", "the caller withdrew", { cause: signal.reason });
}
