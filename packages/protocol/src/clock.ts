/**
 * Time as a value that is passed in, so that every decision can be replayed with another clock.
 *
 * Durations use `monotonicMs`; `nowMs` is data for people and never orders anything.
 */

/** A pending call. Cancelling it twice, or after it ran, is harmless. */
export interface Timer {
  /** Keeps it from running. */
  cancel(): void;
}

/** Where a part takes its time from. */
export interface Clock {
  /** Wall clock, milliseconds since the Unix epoch. */
  nowMs(): number;
  /** Milliseconds since an arbitrary start; never goes back. */
  monotonicMs(): number;
  /** Calls `run` once after `delayMs`. A pending timer does not keep a process alive. */
  setTimer(run: () => void, delayMs: number): Timer;
}

/** Longest delay that timers of Node take, in milliseconds; a longer one would run at once. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** The clock of this machine. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer(run, delayMs) {
    let handle: NodeJS.Timeout;
    const wait = (leftMs: number): void => {
      const isLong = leftMs > MAX_TIMEOUT_MS;
      handle = setTimeout(isLong ? () => wait(leftMs - MAX_TIMEOUT_MS) : run, Math.min(leftMs, MAX_TIMEOUT_MS));
      handle.unref();
    };
    wait(delayMs);
    return { cancel: () => clearTimeout(handle) };
  },
};
