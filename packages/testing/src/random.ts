/**
 * Chance from a seed: the same seed gives the same numbers on every machine.
 *
 * Not for keys or secrets. The generator is xoshiro128** (Blackman and Vigna), seeded by splitmix32; streams of different
 * names are independent, so that what one part draws changes nothing for another.
 */

/** A stream of chance. */
export interface SeededRandom {
  /** From 0, below 1. */
  next(): number;
  /** An integer from 0 to `max` inclusive. */
  integer(max: number): number;
  /** From `low`, below `high`. */
  between(low: number, high: number): number;
  /** True with this probability, 0 to 1. */
  chance(ratio: number): boolean;
  /** One of the items. @throws RangeError when there is none */
  pick<T>(items: readonly T[]): T;
  /** Bytes; not for keys or secrets. */
  bytes(sizeBytes: number): Uint8Array;
  /** A stream of its own for a part of the run; the same name gives the same stream. */
  fork(name: string): SeededRandom;
}

/** Makes the stream of a seed: any safe integer. @throws RangeError for anything else */
export function createSeededRandom(seed: number): SeededRandom {
  if (!Number.isSafeInteger(seed)) throw new RangeError(`a seed is a safe integer, got ${seed}`);
  return createStream(hashName(String(seed), 0x9e3779b9));
}

function createStream(key: number): SeededRandom {
  const draw = createGenerator(key);
  const next = (): number => draw() / 2 ** 32;
  const integer = (max: number): number => Math.floor(next() * (max + 1));
  return {
    next,
    integer,
    between: (low, high) => low + next() * (high - low),
    chance: (ratio) => next() < ratio,
    pick<T>(items: readonly T[]): T {
      if (items.length === 0) throw new RangeError("there is nothing to pick from");
      return items[integer(items.length - 1)] as T;
    },
    bytes: (sizeBytes) => Uint8Array.from({ length: sizeBytes }, () => draw() >>> 24),
    fork: (name) => createStream(hashName(name, key)),
  };
}

/** xoshiro128**: 32 bits a call. */
function createGenerator(key: number): () => number {
  const seeds = createSplitMix(key);
  let [a, b, c, d] = [seeds(), seeds(), seeds(), seeds()];
  return () => {
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotate(d, 11);
    return result;
  };
}

function createSplitMix(key: number): () => number {
  let state = key;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return mixed ^ (mixed >>> 15);
  };
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

/** FNV-1a over the name, with the key as its start. */
function hashName(name: string, key: number): number {
  let hash = key ^ 0x811c9dc5;
  for (let index = 0; index < name.length; index += 1) hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
  return hash;
}
