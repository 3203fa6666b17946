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

/** The clock of this machine. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer(run, delayMs) {
    const handle = setTimeout(run, delayMs);
    handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
};
