/**
 * Decides when a tree that is killed pass by pass is gone.
 *
 * A pass kills what it finds. One pass is not enough: a process may start another while it is looked for, and a killed
 * one takes a moment to end.
 */
import type { Clock } from "@cortex-mesh/protocol";

/** How long a tree is killed again and again before what is left counts as unkillable, in milliseconds. */
export const KILL_LIMIT_MS = 10_000;
/** Passes that find nothing but are uncertain, before the tree counts as gone. */
export const MAX_UNCERTAIN_PASSES = 32;
/** Pause after a few passes, in milliseconds: lets the event loop turn, and killed processes end. */
export const KILL_PAUSE_MS = 3;
const PASSES_PER_TURN = 4;

/** What one killing pass found. */
export interface KillPassResult {
  /** Processes that were alive. */
  readonly foundCount: number;
  /** Those of them that may not be signalled. */
  readonly refusedCount: number;
  /** Whether finding none proves that there is none. */
  readonly isCertain: boolean;
}

/** Kills once what it finds. */
export type KillPass = () => KillPassResult;

/** Passes until nothing is found and nothing was missed; gives how many processes could not be ended. */
export async function killUntilGone(pass: KillPass, clock: Clock): Promise<number> {
  const startedAtMs = clock.monotonicMs();
  let uncertainPasses = 0;
  for (let passes = 1; ; passes += 1) {
    const { foundCount, refusedCount, isCertain } = pass();
    if (foundCount === 0) {
      uncertainPasses += 1;
      if (isCertain || uncertainPasses >= MAX_UNCERTAIN_PASSES) return 0;
    } else {
      uncertainPasses = 0;
      // Only processes of users we may not signal are left: killing again changes nothing.
      if (refusedCount === foundCount) return refusedCount;
      if (clock.monotonicMs() - startedAtMs > KILL_LIMIT_MS) return foundCount;
    }
    if (passes % PASSES_PER_TURN === 0) await pause(clock, KILL_PAUSE_MS);
  }
}

/** Waits on a clock. */
export function pause(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    clock.setTimer(resolve, delayMs);
  });
}
