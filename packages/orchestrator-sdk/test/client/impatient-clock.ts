/** A clock on which short waits are over at once and long ones only when the test says so. */
import type { Clock } from "@cortex-mesh/protocol";

/** Waits of a retry are shorter, limits of silence longer. */
const SHORT_MS = 10_000;

export interface ImpatientClock extends Clock {
  /** Waits that were skipped, in milliseconds. */
  readonly waitsMs: number[];
  /** Delays of the long waits that are pending. */
  readonly pendingMs: readonly number[];
  /** Lets a long time pass: every pending wait is over. */
  expire(): void;
}

export function createImpatientClock(): ImpatientClock {
  let elapsedMs = 0;
  const waitsMs: number[] = [];
  const pending = new Map<object, { readonly delayMs: number; readonly run: () => void }>();
  return {
    waitsMs,
    get pendingMs() {
      return [...pending.values()].map(({ delayMs }) => delayMs);
    },
    nowMs: () => elapsedMs,
    monotonicMs: () => elapsedMs,
    setTimer(run, delayMs) {
      const key = {};
      if (delayMs > SHORT_MS) {
        pending.set(key, { delayMs, run });
        return { cancel: () => void pending.delete(key) };
      }
      waitsMs.push(delayMs);
      const handle = setImmediate(() => {
        elapsedMs += delayMs;
        run();
      });
      return { cancel: () => clearImmediate(handle) };
    },
    expire() {
      for (const [key, { delayMs, run }] of pending) {
        pending.delete(key);
        elapsedMs += delayMs;
        run();
      }
    },
  };
}
