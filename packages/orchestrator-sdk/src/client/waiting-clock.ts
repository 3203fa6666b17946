/** The clock of a client: as the system clock, but a wait that somebody awaits keeps the process alive. */
import type { Clock } from "@cortex-mesh/protocol/portable";

/** The clock of this machine. Delays are far below what timers can hold. */
export const waitingClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer(run, delayMs) {
    const handle = setTimeout(run, delayMs);
    return { cancel: () => clearTimeout(handle) };
  },
};
