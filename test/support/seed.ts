/** Moments drawn at random that can be drawn again: a seed that is printed, and numbers that follow from it. */
import { randomInt } from "node:crypto";

const MAX_SEED = 2 ** 31;

/** Numbers that follow from a seed. */
export interface SeededRandom {
  readonly seed: number;
  /** From 0, below 1. */
  next(): number;
  /** A whole number, both ends included. */
  between(least: number, most: number): number;
}

/** Starts from `seed`. */
export function seededRandom(seed: number): SeededRandom {
  let state = seed >>> 0;
  // Mulberry32: 32 bits of state are enough for moments.
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return { seed, next, between: (least, most) => least + Math.floor(next() * (most - least + 1)) };
}

/** Starts from `CORTEX_TEST_SEED`, or from a seed of its own, and prints it. */
export function printedRandom(what: string): SeededRandom {
  const seed = Number(process.env["CORTEX_TEST_SEED"] ?? randomInt(MAX_SEED));
  process.stdout.write(`${what}: CORTEX_TEST_SEED=${seed}\n`);
  return seededRandom(seed);
}
