/**
 * Callers that wait until a record is durable; one sync answers all whose records it covered. No I/O.
 */

import type { CortexError } from "../errors.js";

/** The waiting callers. */
export interface FlushQueue {
  readonly isEmpty: boolean;
  /** Whether a sync of everything through `seq` would answer somebody. */
  isDue(seq: number): boolean;
  /** Resolves once {@link FlushQueue.resolve} was called with `seq` or more. */
  wait(seq: number): Promise<void>;
  /** Answers those who wait for `durableSeq` or less. */
  resolve(durableSeq: number): void;
  /** Rejects everybody. */
  reject(error: CortexError): void;
}

interface Waiter {
  readonly seq: number;
  readonly resolve: () => void;
  readonly reject: (error: CortexError) => void;
}

/** Makes an empty queue. */
export function createFlushQueue(): FlushQueue {
  let waiters: Waiter[] = [];
  return {
    get isEmpty() {
      return waiters.length === 0;
    },
    isDue: (seq) => waiters.some((waiter) => waiter.seq <= seq),
    wait: (seq) => new Promise<void>((resolve, reject) => waiters.push({ seq, resolve, reject })),
    resolve(durableSeq) {
      const answered = waiters.filter((waiter) => waiter.seq <= durableSeq);
      waiters = waiters.filter((waiter) => waiter.seq > durableSeq);
      for (const waiter of answered) waiter.resolve();
    },
    reject(error) {
      const rejected = waiters;
      waiters = [];
      for (const waiter of rejected) waiter.reject(error);
    },
  };
}
