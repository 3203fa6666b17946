/**
 * Time that a test moves: nothing happens by waiting, and a run is the same each time.
 *
 * Timers run in the order of their times, those of one time in the order they were set. After each moment in which
 * timers ran, promises and callbacks that are ready get their turns before time moves on.
 */
import type { Clock } from "@cortex-mesh/protocol";

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
}

const DEFAULT_NOW_MS = Date.UTC(2026, 0, 1);
const DEFAULT_TURNS = 4;

interface Pending {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

/** Makes a clock that stands at 0. */
export function createVirtualClock(options: VirtualClockOptions = {}): VirtualClock {
  const turns = options.turns ?? DEFAULT_TURNS;
  const pending = new Set<Pending>();
  let elapsedMs = 0;
  let wallOffsetMs = options.nowMs ?? DEFAULT_NOW_MS;
  let order = 0;

  const nextDue = (untilMs: number): Pending | undefined => {
    let next: Pending | undefined;
    for (const timer of pending) {
      if (timer.atMs > untilMs) continue;
      const isEarlier = next === undefined || timer.atMs < next.atMs;
      if (isEarlier || (timer.atMs === next?.atMs && timer.order < next.order)) next = timer;
    }
    return next;
  };

  return {
    // A wall clock counts whole milliseconds.
    nowMs: () => Math.floor(wallOffsetMs + elapsedMs),
    monotonicMs: () => elapsedMs,
    setTimer(run, delayMs) {
      order += 1;
      const timer: Pending = { atMs: elapsedMs + Math.max(0, delayMs), order, run };
      pending.add(timer);
      return { cancel: () => void pending.delete(timer) };
    },
    get pendingCount() {
      return pending.size;
    },
    async advance(byMs) {
      const untilMs = elapsedMs + byMs;
      await takeTurns(turns);
      for (let due = nextDue(untilMs); due !== undefined; due = nextDue(untilMs)) {
        elapsedMs = Math.max(elapsedMs, due.atMs);
        for (let same = nextDue(elapsedMs); same !== undefined; same = nextDue(elapsedMs)) {
          pending.delete(same);
          same.run();
        }
        await takeTurns(turns);
      }
      elapsedMs = untilMs;
    },
    setNowMs(nowMs) {
      wallOffsetMs = nowMs - elapsedMs;
    },
  };
}

async function takeTurns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) {
    await new Promise<void>((resolve) => void setImmediate(resolve));
  }
}
