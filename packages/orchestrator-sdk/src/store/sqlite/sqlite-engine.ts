/** Transactions on the one writing connection of a SQLite file. */
import type { EngineTransaction, TransactionEngine } from "../sql/transaction-engine.js";
import type { SqliteConnection } from "./sqlite-connection.js";

/**
 * Transactions of the store that share one fsync, at most.
 *
 * With 64 the fsync is a few percent of what a transaction costs, and the event loop still gets its turn in
 * milliseconds.
 */
const MAX_BATCH_COUNT = 64;

/** Makes the engine of one writing connection. */
export function createSqliteEngine(writer: SqliteConnection): TransactionEngine {
  const exec = async (sql: string): Promise<void> => writer.exec(sql);
  const transaction: EngineTransaction = {
    executor: writer,
    savepoint: () => exec("savepoint work"),
    releaseSavepoint: () => exec("release work"),
    rollbackToSavepoint: () => exec("rollback to work; release work"),
    commit: () => exec("commit"),
    rollback: async () => {
      if (writer.isInTransaction()) writer.exec("rollback");
    },
  };
  return {
    maxBatchCount: MAX_BATCH_COUNT,
    maxOpenCount: 1,
    begin: async () => {
      // A rollback that failed before would leave a transaction open; nothing of it was ever told to anybody.
      await transaction.rollback();
      writer.exec("begin immediate");
      return transaction;
    },
  };
}
