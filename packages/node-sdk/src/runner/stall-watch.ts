/** Notices a task that has been silent for long, and that it speaks again. */
import type { Clock, Timer } from "@cortex-mesh/protocol";

/** Watches one attempt. */
export interface StallWatch {
  start(): void;
  /** There was output. */
  touch(): void;
  close(): void;
}

/** What {@link createStallWatch} needs. */
export interface StallWatchOptions {
  readonly clock: Clock;
  /** Silence that counts as stalled, in milliseconds; 0 turns it off. */
  readonly afterMs: number;
  /** Called for each change; `seq` counts them from 1. */
  readonly onChange: (isStalled: boolean, seq: number) => void;
}

/** Makes a watch that is not started. */
export function createStallWatch({ clock, afterMs, onChange }: StallWatchOptions): StallWatch {
  let timer: Timer | undefined;
  let lastAtMs = clock.monotonicMs();
  let isStalled = false;
  let isRunning = false;
  let seq = 0;

  const change = (next: boolean): void => {
    isStalled = next;
    seq += 1;
    onChange(next, seq);
  };
  const look = (): void => {
    const leftMs = lastAtMs + afterMs - clock.monotonicMs();
    if (leftMs > 0) timer = clock.setTimer(look, leftMs);
    else change(true);
  };

  return {
    start() {
      if (afterMs <= 0) return;
      isRunning = true;
      lastAtMs = clock.monotonicMs();
      timer = clock.setTimer(look, afterMs);
    },
    touch() {
      if (!isRunning) return;
      lastAtMs = clock.monotonicMs();
      if (!isStalled) return;
      change(false);
      timer = clock.setTimer(look, afterMs);
    },
    close() {
      isRunning = false;
      timer?.cancel();
    },
  };
}
