/**
 * Runs transactions in the order they came, many to a commit (group commit).
 *
 * - Q1 What waits when a batch starts, and what joins while it runs, shares one BEGIN and one COMMIT, up to
 *   `maxBatchCount`. A batch starts in the turn of the event loop after the first call: no timer, no waiting for more.
 * - Q2 A `work` that throws is undone alone and rejects alone; the others of its batch go on.
 * - Q3 No outcome is told before the commit, not even a refusal: it may rest on what a neighbour wrote, and a commit
 *   that fails takes that back. Then the whole batch rejects with the reason.
 * - Q4 A transaction is refused further calls as soon as its `work` settled, so that a call nobody awaited cannot write
 *   into the transaction of somebody else.
 *
 * The event loop gets a turn between batches; a caller that commits in a loop starves nobody.
 */
import { storeClosed, storeOverloaded, transactionEnded } from "../refusal.js";
import { type Executor, guardExecutor } from "./executor.js";
import type { EngineTransaction, TransactionEngine } from "./transaction-engine.js";

/** Transactions that wait, at most: about two seconds of single commits; more would outlive their callers' patience. */
export const MAX_QUEUED_TRANSACTIONS = 8192;

/** What a {@link TransactionQueue} is made of. */
export interface TransactionQueueOptions {
  readonly engine: TransactionEngine;
  /** @default MAX_QUEUED_TRANSACTIONS */
  readonly maxQueuedCount?: number;
  /** Hears of each commit, after it is durable and before its outcomes are told. Must not throw. @default nobody does */
  readonly onCommit?: ((commit: CommitFigures) => void) | undefined;
  /** Runs a call in a later turn of the event loop. @default setImmediate */
  readonly defer?: (run: () => void) => void;
}

/** One commit of the database. */
export interface CommitFigures {
  /** From its begin until it is durable. */
  readonly durationMs: number;
  /** Transactions that shared it. */
  readonly transactionCount: number;
}

/** Runs transactions. */
export interface TransactionQueue {
  /**
   * Runs `work` in a transaction; resolves with its result once that is durable.
   *
   * @throws CortexError `UNAVAILABLE` when the queue is full or closed; else what `work` or the database throws.
   */
  run<T>(work: (executor: Executor) => Promise<T>): Promise<T>;
  /** Refuses new work and resolves when everything accepted has settled. Harmless when repeated. */
  close(): Promise<void>;
}

/** One transaction of a caller. */
interface Job {
  /** Runs the work. Resolves with how to tell the caller once the commit is through. */
  run(executor: Executor): Promise<Outcome>;
  reject(error: unknown): void;
}

interface Outcome {
  /** Present when the work threw. */
  readonly failure?: { readonly error: unknown };
  tell(): void;
}

/** Creates a queue over one database. */
export function createTransactionQueue(options: TransactionQueueOptions): TransactionQueue {
  const { engine, maxQueuedCount = MAX_QUEUED_TRANSACTIONS, defer = setImmediate } = options;
  const waiting: Job[] = [];
  const idleListeners: (() => void)[] = [];
  let openCount = 0;
  let isScheduled = false;
  let isClosed = false;

  const schedule = (): void => {
    if (isScheduled || waiting.length === 0) return;
    isScheduled = true;
    defer(() => {
      isScheduled = false;
      while (openCount < engine.maxOpenCount && waiting.length > 0) void runNext();
    });
  };
  const runNext = async (): Promise<void> => {
    openCount++;
    await runBatch(options, waiting);
    openCount--;
    schedule();
    if (openCount === 0 && waiting.length === 0) for (const listener of idleListeners.splice(0)) listener();
  };
  return {
    run: (work) => {
      if (isClosed) return Promise.reject(storeClosed());
      if (waiting.length >= maxQueuedCount) return Promise.reject(storeOverloaded(waiting.length));
      return new Promise((resolve, reject) => {
        waiting.push(createJob(work, resolve, reject));
        schedule();
      });
    },
    close: async () => {
      isClosed = true;
      if (openCount === 0 && waiting.length === 0) return;
      await new Promise<void>((resolve) => idleListeners.push(resolve));
    },
  };
}

function createJob<T>(
  work: (executor: Executor) => Promise<T>,
  resolve: (value: T) => void,
  reject: (error: unknown) => void,
): Job {
  return {
    reject,
    run: async (executor) => {
      let isEnded = false;
      try {
        const value = await work(guardExecutor(executor, () => (isEnded ? transactionEnded() : undefined)));
        return { tell: () => resolve(value) };
      } catch (error) {
        return { failure: { error }, tell: () => reject(error) };
      } finally {
        isEnded = true;
      }
    },
  };
}

/** Takes jobs from `waiting` until none is left or the batch is full, then commits. Never rejects. */
async function runBatch({ engine, onCommit }: TransactionQueueOptions, waiting: Job[]): Promise<void> {
  const startedAtMs = performance.now();
  const taken: Job[] = [];
  const outcomes: Outcome[] = [];
  let transaction: EngineTransaction | undefined;
  try {
    for (let job = waiting.shift(); job; job = taken.length < engine.maxBatchCount ? waiting.shift() : undefined) {
      taken.push(job);
      transaction ??= await engine.begin();
      outcomes.push(await runJob(job, transaction, engine.maxBatchCount > 1));
    }
    await transaction?.commit();
    onCommit?.({ durationMs: performance.now() - startedAtMs, transactionCount: taken.length });
  } catch (error) {
    await transaction?.rollback().catch(() => {
      // The first error is the one to report; an open transaction that cannot be undone fails the next BEGIN.
    });
    for (const job of taken) job.reject(error);
    return;
  }
  for (const outcome of outcomes) outcome.tell();
}

/** Runs one job in the transaction and undoes it if it fails; rejects only when the whole transaction is lost. */
async function runJob(job: Job, transaction: EngineTransaction, isShared: boolean): Promise<Outcome> {
  if (isShared) await transaction.savepoint();
  const outcome = await job.run(transaction.executor);
  const { failure } = outcome;
  if (failure) {
    if (!isShared) throw failure.error;
    await transaction.rollbackToSavepoint().catch(() => {
      // A full disk makes SQLite undo the whole transaction, and the savepoint with it: what the job met is the reason.
      throw failure.error;
    });
  } else if (isShared) {
    await transaction.releaseSavepoint();
  }
  return outcome;
}
