/** When placement looks at the queue: one pass at a time, when something changed, when a pause ends, and again after a failure. */
import type { Clock, Timer } from "@cortex-mesh/protocol";
import type { Wake } from "../wake/wake.js";

/** Time until a pass that failed is repeated: a full disk or a database out of reach may be over by then. */
export const PLACE_AGAIN_AFTER_MS = 1_000;

/** What a pass says when it is over. */
export interface PassResult {
  /** Something failed that may succeed later. */
  readonly hasFailed: boolean;
  /** Time until there is more to do by itself. */
  readonly againAfterMs: number | undefined;
}

/** Runs passes. */
export interface PlacementPasses {
  start(wake: Wake): void;
  /** Resolves when no pass runs any more. */
  close(): Promise<void>;
}

/** Makes the runner; a wake-up during a pass causes another one. */
export function createPlacementPasses(options: {
  readonly clock: Clock;
  /** Told when a pass failed; it is tried again after {@link PLACE_AGAIN_AFTER_MS}. */
  readonly onError: (error: unknown) => void;
  readonly run: (hasStopped: () => boolean) => Promise<PassResult>;
}): PlacementPasses {
  const { clock, onError, run } = options;
  let isClosed = false;
  let isWanted = false;
  let pass: Promise<void> | undefined;
  let again: Timer | undefined;
  let unlisten = (): void => undefined;
  const passOnce = async (): Promise<void> => {
    again?.cancel();
    const { hasFailed, againAfterMs } = await run(() => isClosed).catch((error: unknown): PassResult => {
      onError(error);
      return { hasFailed: true, againAfterMs: undefined };
    });
    const afterMs = hasFailed ? Math.min(againAfterMs ?? PLACE_AGAIN_AFTER_MS, PLACE_AGAIN_AFTER_MS) : againAfterMs;
    if (afterMs !== undefined && !isClosed) again = clock.setTimer(trigger, afterMs);
  };
  const trigger = (): void => {
    isWanted = true;
    pass ??= (async () => {
      while (isWanted && !isClosed) {
        isWanted = false;
        await passOnce();
      }
      pass = undefined;
    })();
  };
  return {
    start(wake) {
      if (isClosed) return;
      unlisten = wake.listen("place", trigger);
      trigger();
    },
    async close() {
      isClosed = true;
      unlisten();
      await pass;
      again?.cancel();
    },
  };
}
