/**
 * The clock of one process on one machine: its timers end with the process, its wall clock is the machine's and may be set.
 */
import type { Clock, Timer } from "@cortex-mesh/protocol";

/** The clock of a process. */
export interface ProcessClock extends Clock {
  /** The process is gone: no timer of it runs any more. */
  stop(): void;
}

/** Makes the clock of a process; `wallOffsetMs` is how far the machine's wall clock is off. */
export function createProcessClock(base: Clock, wallOffsetMs: () => number): ProcessClock {
  const timers = new Set<Timer>();
  let isStopped = false;
  return {
    nowMs: () => base.nowMs() + wallOffsetMs(),
    monotonicMs: () => base.monotonicMs(),
    setTimer(run, delayMs) {
      if (isStopped) return { cancel: () => undefined };
      const timer = base.setTimer(() => {
        timers.delete(timer);
        run();
      }, delayMs);
      timers.add(timer);
      return {
        cancel() {
          timers.delete(timer);
          timer.cancel();
        },
      };
    },
    stop() {
      isStopped = true;
      for (const timer of timers) timer.cancel();
      timers.clear();
    },
  };
}
