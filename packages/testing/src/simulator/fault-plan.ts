/** The faults of a history, from the seed: which, when, where. Pure. */
import type { HubStep } from "../mesh/hub-machine.js";
import type { CrashKind, NodeStep } from "../mesh/node-machine.js";
import type { SeededRandom } from "../random.js";
import { CRASH_POINTS } from "./figures.js";

/** One fault to come. */
export type PlannedFault = { readonly atMs: number } & (
  | { readonly kind: "cut"; readonly node: number; readonly hears: "both" | "hub" | "node" }
  | { readonly kind: "stall"; readonly node: number; readonly forMs: number }
  | {
      readonly kind: "partition";
      readonly node: number | "all";
      readonly forMs: number;
      /** The hub hears of it at once, the node does not. */
      readonly isHeard: boolean;
    }
  | { readonly kind: "hub crash"; readonly step: HubStep; readonly skip: number; readonly how: CrashFacts }
  | {
      readonly kind: "node crash";
      readonly node: number;
      readonly step: NodeStep;
      readonly skip: number;
      readonly how: CrashFacts;
    }
  | { readonly kind: "clock jump"; readonly machine: number | "hub"; readonly byMs: number; readonly forMs: number }
  | { readonly kind: "drain"; readonly node: number; readonly graceMs: number; readonly awayMs: number }
);

/** How a process dies, and how long it is away. */
export interface CrashFacts {
  readonly kind: CrashKind;
  readonly awayMs: number;
}

/** Between two faults, on average, in milliseconds. */
const MEAN_GAP_MS = 3_000;
/** Steps that are let pass before the one at which a process dies. */
const MAX_SKIPPED_STEPS = 3;

const HUB_STEPS = stepsOf<HubStep>("hub ");
const NODE_STEPS = stepsOf<NodeStep>("node ");

/** Plans the faults between two times. */
export function planFaults(
  random: SeededRandom,
  { fromMs, untilMs, nodeCount }: { readonly fromMs: number; readonly untilMs: number; readonly nodeCount: number },
): readonly PlannedFault[] {
  const faults: PlannedFault[] = [];
  for (let atMs = fromMs; atMs < untilMs; atMs += random.between(0, 2 * MEAN_GAP_MS)) {
    faults.push({ atMs, ...planFault(random, nodeCount) });
  }
  return [...faults, ...OUTAGES.map((share) => planOutage(random, fromMs + share * (untilMs - fromMs)))];
}

/** Moments of the outages that every history has, as shares of the time of faults. */
const OUTAGES = [0.25, 0.6] as const;

/** The hub loses every node long enough to give their tasks away; the nodes work on and come back with what they did. */
function planOutage(random: SeededRandom, aroundMs: number): PlannedFault {
  const atMs = aroundMs + random.between(0, 5_000);
  return { atMs, kind: "partition", node: "all", forMs: random.between(9_000, 15_000), isHeard: true };
}

type UntimedFault = PlannedFault extends infer F ? (F extends PlannedFault ? Omit<F, "atMs"> : never) : never;

function planFault(random: SeededRandom, nodeCount: number): UntimedFault {
  const node = random.integer(nodeCount - 1);
  const drawn = random.next();
  if (drawn < 0.16) return { kind: "cut", node, hears: random.pick(["both", "hub", "hub", "hub", "node"]) };
  if (drawn < 0.21) return { kind: "stall", node, forMs: random.between(500, 9_000) };
  if (drawn < 0.35) {
    const target = random.chance(0.15) ? "all" : node;
    // Most last until the hub has given the node up, and its tasks to others.
    const forMs = random.chance(0.75) ? random.between(9_000, 30_000) : random.between(1_000, 12_000);
    return { kind: "partition", node: target, forMs, isHeard: random.chance(0.6) };
  }
  if (drawn < 0.57) {
    const skip = random.integer(MAX_SKIPPED_STEPS);
    return { kind: "hub crash", step: random.pick(HUB_STEPS), skip, how: planCrash(random, 4_000) };
  }
  if (drawn < 0.84) {
    const skip = random.integer(MAX_SKIPPED_STEPS);
    return { kind: "node crash", node, step: random.pick(NODE_STEPS), skip, how: planCrash(random, 25_000) };
  }
  if (drawn < 0.92) {
    const machine = random.chance(0.4) ? "hub" : node;
    const byMs = planJump(random);
    return { kind: "clock jump", machine, byMs, forMs: random.fork(`set back ${byMs}`).between(3_000, 15_000) };
  }
  return { kind: "drain", node, graceMs: random.between(0, 12_000), awayMs: random.between(100, 8_000) };
}

function planCrash(random: SeededRandom, maxAwayMs: number): CrashFacts {
  return { kind: random.chance(0.5) ? "kill" : "power", awayMs: random.between(100, maxAwayMs) };
}

/** Mostly within what the clocks may differ by, sometimes far outside. */
function planJump(random: SeededRandom): number {
  const byMs = random.chance(0.9) ? random.between(100, 25_000) : random.between(60_000, 900_000);
  return Math.round(random.chance(0.5) ? byMs : -byMs);
}

function stepsOf<Step extends string>(prefix: string): readonly Step[] {
  return CRASH_POINTS.flatMap((point) => (point.startsWith(prefix) ? [point.slice(prefix.length) as Step] : []));
}
