/**
 * Gathers the changes of one turn into one commit. No I/O of its own.
 *
 * A change that throws is taken out and the others run again without it, so that one fault never costs a neighbour.
 */
import { CortexError, toCortexError } from "@cortex-mesh/protocol";

/** How a batch of changes is made durable. */
export interface CommitQueueOptions<Transaction> {
  /** Calls `run` inside one transaction and makes it durable; when `run` throws, nothing is kept. */
  readonly commitBatch: (run: (transaction: Transaction) => void) => void;
  /** Calls `run` soon, after this turn. */
  readonly defer: (run: () => void) => void;
}

/** A queue of changes. */
export interface CommitQueue<Transaction> {
  add<T>(change: (transaction: Transaction) => T): Promise<T>;
  /** Commits what waits and refuses the rest. */
  close(): void;
}

interface Entry<Transaction> {
  readonly run: (transaction: Transaction) => void;
  readonly settle: () => void;
  readonly reject: (error: unknown) => void;
}

/** Makes an empty queue. */
export function createCommitQueue<Transaction>(options: CommitQueueOptions<Transaction>): CommitQueue<Transaction> {
  let waiting: Entry<Transaction>[] = [];
  let isScheduled = false;
  let isClosed = false;

  function flush(): void {
    isScheduled = false;
    const batch = waiting;
    waiting = [];
    if (batch.length > 0) commitAll(batch, options.commitBatch);
  }

  return {
    add<T>(change: (transaction: Transaction) => T): Promise<T> {
      if (isClosed) return Promise.reject(new CortexError("UNAVAILABLE", "the node's state is closed"));
      return new Promise<T>((resolve, reject) => {
        let result: T;
        waiting.push({
          run: (transaction) => {
            result = change(transaction);
          },
          settle: () => resolve(result),
          reject,
        });
        if (isScheduled) return;
        isScheduled = true;
        options.defer(flush);
      });
    },
    close() {
      isClosed = true;
      flush();
    },
  };
}

function commitAll<Transaction>(
  batch: readonly Entry<Transaction>[],
  commitBatch: CommitQueueOptions<Transaction>["commitBatch"],
): void {
  let left = batch;
  while (left.length > 0) {
    let culprit: Entry<Transaction> | undefined;
    try {
      commitBatch((transaction) => {
        for (const entry of left) {
          try {
            entry.run(transaction);
          } catch (error) {
            culprit = entry;
            throw error;
          }
        }
      });
    } catch (error) {
      const failed: Entry<Transaction> | undefined = culprit;
      if (failed === undefined) {
        for (const entry of left) entry.reject(toCortexError(error));
        return;
      }
      failed.reject(error);
      left = left.filter((entry) => entry !== failed);
      continue;
    }
    for (const entry of left) entry.settle();
    return;
  }
}
