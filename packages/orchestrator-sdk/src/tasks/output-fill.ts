/**
 * When the next commit of a log starts: at once for output that trickles, when enough has come for output that flows.
 *
 * A commit is a sync of a file and of the store, whose cost hardly depends on the bytes: a log whose last commit was
 * large, and that goes on at once, waits until a good size has come or a moment has passed.
 */
import type { Clock, Timer } from "@cortex-mesh/protocol";

/** A commit this large, followed at once by more, means that the output flows. */
const FLOWING_BYTES = 64 * 1024;
/** Enough for one commit. */
const FULL_BYTES = 1024 * 1024;
/** Longest wait for a full commit: no reader notices it. */
const FILL_MS = 4;
/** Output that pauses this long after a commit does not flow any more. */
const PAUSE_MS = 8;

/** Waits for a commit to be worth it. */
export interface Fill {
  /** So many bytes wait now for the next commit. */
  add(bytes: number): void;
  /** Resolves when the commit is to start. */
  wait(): Promise<void>;
  /** A commit of so many bytes started. */
  took(bytes: number): void;
  /** Nothing waits behind the last commit. */
  paused(): void;
  /** Ends a wait. */
  end(): void;
}

/** Makes the rule for one log. */
export function createFill(clock: Clock): Fill {
  let waitingBytes = 0;
  let lastBytes = 0;
  let idleSinceMs = Number.NEGATIVE_INFINITY;
  let start: (() => void) | undefined;
  return {
    add(bytes) {
      waitingBytes += bytes;
      if (waitingBytes >= FULL_BYTES) start?.();
    },
    async wait() {
      const isFlowing = lastBytes >= FLOWING_BYTES && clock.monotonicMs() - idleSinceMs <= PAUSE_MS;
      if (!isFlowing || waitingBytes >= FULL_BYTES) return;
      let timer: Timer | undefined;
      await new Promise<void>((resolve) => {
        start = resolve;
        timer = clock.setTimer(resolve, FILL_MS);
      });
      start = undefined;
      timer?.cancel();
    },
    took(bytes) {
      waitingBytes -= bytes;
      lastBytes = bytes;
      idleSinceMs = Number.POSITIVE_INFINITY;
    },
    paused() {
      idleSinceMs = clock.monotonicMs();
    },
    end() {
      waitingBytes = 0;
      start?.();
    },
  };
}
