/**
 * Asks again and again who follows a stream, so that a user who was removed, or whose token was withdrawn, sees nothing more.
 *
 * It fails closed: a check that cannot be made ends the stream too, and the client comes back to be checked anew.
 */
import { type Clock, CortexError, isCortexError, type Timer } from "@cortex-mesh/protocol";
import type { Caller } from "../access/caller.js";

/** Time between two checks; with the time that a check takes, a removed user is gone within 5 s. */
export const RECHECK_CALLER_MS = 3_000;
/** A check that takes longer has failed. */
export const MAX_CHECK_MS = 2_000;

/** What watching needs. */
export interface WatchCallerOptions {
  /** Says who asks now. @throws CortexError when it is nobody any more. */
  readonly identify: () => Promise<Caller>;
  readonly clock: Clock;
  /** Ends the watch when it aborts; aborted with the reason when the caller is not the same any more. */
  readonly leave: AbortController;
}

/** Watches until `leave` aborts. */
export function watchCaller(caller: Caller, { identify, clock, leave }: WatchCallerOptions): void {
  let timer: Timer | undefined;
  const { signal } = leave;

  async function check(): Promise<void> {
    timer = clock.setTimer(() => leave.abort(unanswered()), MAX_CHECK_MS);
    try {
      const { userId } = await identify();
      if (userId !== caller.userId)
        throw new CortexError("UNAUTHENTICATED", "these credentials are of another user now");
    } catch (error) {
      timer.cancel();
      leave.abort(isCortexError(error) && error.code !== "INTERNAL" ? error : unanswered(error));
      return;
    }
    timer.cancel();
    if (!signal.aborted) schedule();
  }

  function schedule(): void {
    timer = clock.setTimer(() => void check(), RECHECK_CALLER_MS);
  }

  if (signal.aborted) return;
  signal.addEventListener("abort", () => timer?.cancel(), { once: true });
  schedule();
}

function unanswered(cause?: unknown): CortexError {
  return new CortexError("UNAVAILABLE", "whether this caller is still known cannot be said now; connect again", {
    cause,
  });
}
