/**
 * Time that a test moves: nothing happens by waiting, and a run is the same each time.
 *
 * Timers run in the order of their times, those of one time in the order they were set. After each moment in which
 * timers ran, promises and callbacks that are ready get their turns before time moves on.
 */
import type { Clock } from "@cortex-mesh/protocol";
import { createTimerQueue, type QueuedTimer } from "./timer-queue.js";

/** A clock that stands still until it is moved. */
export interface VirtualClock extends Clock {
  /** Timers that wait. */
  readonly pendingCount: number;
  /** Moves time on and runs what is due; resolves when that has had its turns. */
  advance(byMs: number): Promise<void>;
  /** Moves the wall clock alone, as somebody does who sets it. */
  setNowMs(nowMs: number): void;
}

/** Where a virtual clock starts. */
export interface VirtualClockOptions {
  /** Milliseconds since the Unix epoch. @default 2026-01-01T00:00:00Z */
  readonly nowMs?: number;
  /** Turns of the event loop after each moment: as many as a step of what is tested takes. @default 4 */
  readonly turns?: number;
  /**
   * Called when the turns of a moment are over; when it resolves with true it did something, and the turns follow again.
   * For work that ends outside of the event loop's order, such as WebCrypto.
   */
  readonly settle?: () => Promise<boolean>;
}

const DEFAULT_NOW_MS = Date.UTC(2026, 0, 1);
const DEFAULT_TURNS = 4;

/** Makes a clock that stands at 0. */
export function createVirtualClock(options: VirtualClockOptions = {}): VirtualClock {
  const { turns = DEFAULT_TURNS, settle } = options;
  const queue = createTimerQueue();
  let elapsedMs = 0;
  let wallOffsetMs = options.nowMs ?? DEFAULT_NOW_MS;

  const rest = async (): Promise<void> => {
    await takeTurns(turns);
    while ((await settle?.()) === true) await takeTurns(turns);
  };
  return {
    // A wall clock counts whole milliseconds.
    nowMs: () => Math.floor(wallOffsetMs + elapsedMs),
    monotonicMs: () => elapsedMs,
    setTimer(run, delayMs) {
      const timer: QueuedTimer = queue.add(elapsedMs + Math.max(0, delayMs), run);
      return { cancel: () => queue.remove(timer) };
    },
    get pendingCount() {
      return queue.count;
    },
    async advance(byMs) {
      const untilMs = elapsedMs + byMs;
      await rest();
      for (let due = queue.takeDue(untilMs); due !== undefined; due = queue.takeDue(untilMs)) {
        elapsedMs = Math.max(elapsedMs, due.atMs);
        due.run();
        for (let same = queue.takeDue(elapsedMs); same !== undefined; same = queue.takeDue(elapsedMs)) same.run();
        await rest();
      }
      elapsedMs = untilMs;
    },
    setNowMs(nowMs) {
      wallOffsetMs = nowMs - elapsedMs;
    },
  };
}

/** Gives promises and callbacks that are ready their turns. */
export async function takeTurns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) {
    await new Promise<void>((resolve) => void setImmediate(resolve));
  }
}
