/** A wait that has an end. */
import { type Clock, CortexError } from "@cortex-mesh/protocol";

/** What a wait is bounded by. */
export interface WaitLimit {
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** What is waited for, as the end of "… took longer than …". */
  readonly what: string;
  readonly signal?: AbortSignal;
}

/**
 * Gives what `work` gives, in time. What is late is not looked at any more.
 *
 * @throws CortexError `TIMED_OUT`; `CANCELLED` when the signal fires; and what `work` rejects with.
 */
export function within<T>(work: Promise<T>, { clock, timeoutMs, what, signal }: WaitLimit): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => finish(() => reject(withdrawn(what)));
    const timer = clock.setTimer(() => {
      finish(() => reject(new CortexError("TIMED_OUT", `${what} took longer than ${timeoutMs} ms`)));
    }, timeoutMs);
    const finish = (settle: () => void): void => {
      timer.cancel();
      signal?.removeEventListener("abort", onAbort);
      settle();
    };
    work.then(
      (value) => finish(() => resolve(value)),
      (error: unknown) => finish(() => reject(error)),
    );
    if (signal?.aborted) onAbort();
    else signal?.addEventListener("abort", onAbort, { once: true });
  });
}

/** Waits; ends early, without an error, when the signal fires. */
export function pause(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      timer.cancel();
      signal?.removeEventListener("abort", finish);
      resolve();
    };
    const timer = clock.setTimer(finish, delayMs);
    if (signal?.aborted) finish();
    else signal?.addEventListener("abort", finish, { once: true });
  });
}

function withdrawn(what: string): CortexError {
  return new CortexError("CANCELLED", `${what} was given up`);
}
