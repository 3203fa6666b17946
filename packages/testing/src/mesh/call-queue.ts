/**
 * Calls that use WebCrypto, one after the other and each in a moment of its own.
 *
 * WebCrypto works on threads, and its results come in an order that nobody decides. So a call waits here until everything
 * else has come to rest, runs while virtual time stands still, and its result is handed over when everything else has
 * come to rest again: the run is the same each time.
 */
import { takeTurns } from "../virtual-clock.js";

/** A queue of calls. */
export interface CallQueue {
  /** Gives what the call gives, in a later moment's rest. */
  run<T>(call: () => Promise<T>): Promise<T>;
  /** Runs the next call; false when none waits. Give it to `createVirtualClock`. */
  settle(): Promise<boolean>;
}

/** Turns in which what a call set going comes to rest. */
const REST_TURNS = 2;

/** Makes an empty queue. */
export function createCallQueue(): CallQueue {
  const waiting: (() => Promise<() => void>)[] = [];
  return {
    run: (call) =>
      new Promise((resolve, reject) => {
        waiting.push(() =>
          call().then(
            (value) => () => resolve(value),
            (error: unknown) => () => reject(error),
          ),
        );
      }),
    async settle() {
      const next = waiting.shift();
      if (next === undefined) return false;
      const handOver = await next();
      await takeTurns(REST_TURNS);
      handOver();
      return true;
    },
  };
}
