/** Faults of frames from a seed: how often each happens, counted by kind. */
import type { FrameFate, FrameFault } from "./memory-pipe.js";
import type { SeededRandom } from "./random.js";

/** How often a frame meets a fault: 0 never, 1 always. All default to 0. */
export interface FaultRatios {
  readonly drop?: number;
  readonly duplicate?: number;
  readonly reorder?: number;
  /** Frames that come late, with everything behind them. */
  readonly delay?: number;
  /** The longest delay, in milliseconds. @default 1000 */
  readonly maxDelayMs?: number;
}

/** Kinds of faults that frames meet. */
export type FaultKind = "drop" | "duplicate" | "reorder" | "delay";

/** What {@link seededFaults} needs. */
export interface SeededFaultsOptions {
  readonly random: SeededRandom;
  /** Asked for each frame, so that a test may change them. */
  readonly ratios: () => FaultRatios;
  /** Told of each fault. */
  readonly onFault?: (kind: FaultKind) => void;
}

const DEFAULT_MAX_DELAY_MS = 1_000;

/** Makes the fault of one direction; give it to `createMemoryLinkPair`. */
export function seededFaults({ random, ratios, onFault }: SeededFaultsOptions): FrameFault {
  return () => {
    const { drop = 0, duplicate = 0, reorder = 0, delay = 0, maxDelayMs = DEFAULT_MAX_DELAY_MS } = ratios();
    const drawn = random.next();
    const kind = choose(drawn, [
      ["drop", drop],
      ["duplicate", duplicate],
      ["reorder", reorder],
      ["delay", delay],
    ]);
    if (kind === undefined) return "deliver";
    onFault?.(kind);
    return kind === "delay" ? ({ delayMs: random.between(1, maxDelayMs) } satisfies FrameFate) : kind;
  };
}

function choose(drawn: number, kinds: readonly (readonly [FaultKind, number])[]): FaultKind | undefined {
  let limit = 0;
  for (const [kind, ratio] of kinds) {
    limit += ratio;
    if (drawn < limit) return kind;
  }
  return undefined;
}
