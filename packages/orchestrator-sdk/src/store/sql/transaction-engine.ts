/**
 * How a database runs transactions: the seam between the queue of the SQL stores and one dialect.
 *
 * SQLite has one writer, and a commit costs an fsync: many transactions share one commit. Postgres has many writers
 * and groups commits itself: each transaction gets its own.
 */
import type { Executor } from "./executor.js";

/** An open transaction of the database. Its methods are called one at a time, each after the one before it settled. */
export interface EngineTransaction {
  readonly executor: Executor;
  /** Marks the place that {@link rollbackToSavepoint} returns to; at most one mark at a time. */
  savepoint(): Promise<void>;
  /** Forgets the mark and keeps what was done since. */
  releaseSavepoint(): Promise<void>;
  /** Undoes everything since the mark, and forgets it. */
  rollbackToSavepoint(): Promise<void>;
  /** Resolves when everything is durable. After a rejection nothing is, and {@link rollback} is called. */
  commit(): Promise<void>;
  /** Undoes everything. Harmless when the database has done so by itself. */
  rollback(): Promise<void>;
}

/** Opens transactions. */
export interface TransactionEngine {
  /** Transactions of the store that share one commit, at most; 1 gives each its own. */
  readonly maxBatchCount: number;
  /** Transactions of the database that are open at once, at most. */
  readonly maxOpenCount: number;
  begin(): Promise<EngineTransaction>;
}
