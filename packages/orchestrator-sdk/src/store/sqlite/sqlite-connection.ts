/**
 * One connection to a SQLite file: runs compiled queries, and keeps their statements prepared.
 *
 * Calls are synchronous inside; the promises are there because the tables are written for any database. Values are
 * checked before they are bound, since the driver aborts the process on a boolean and takes `undefined` for null.
 */

import type { CompiledQuery, QueryResult } from "kysely";
import Database from "libsql";
import type { Executor } from "../sql/executor.js";
import { toSqliteStoreError } from "./sqlite-errors.js";

/** Statements that stay prepared, at most; the tables use about a hundred, lists with many shapes a few more. */
const MAX_PREPARED_STATEMENTS = 256;

/** How long a statement waits for a lock of another process, in milliseconds. */
export const BUSY_TIMEOUT_MS = 5000;

type Statement = Database.Statement;

/** A connection. Not for use by two transactions at once. */
export interface SqliteConnection extends Executor {
  /** Runs SQL without values or results: transaction control, pragmas. */
  exec(sql: string): void;
  /** Runs SQL without values and gives its rows. */
  rows(sql: string): Readonly<Record<string, unknown>>[];
  /** Whether a transaction is open. */
  isInTransaction(): boolean;
  /** Harmless when repeated. */
  close(): void;
}

/**
 * Opens a connection to `file`.
 *
 * @throws CortexError `DATA_CORRUPT`, `UNAVAILABLE`, `STORAGE_FULL` or `INTERNAL`, as every call does.
 */
export function openSqliteConnection(file: string): SqliteConnection {
  const translate = <T>(run: () => T): T => {
    try {
      return run();
    } catch (error) {
      throw toSqliteStoreError(error, file);
    }
  };
  const database = translate(() => new Database(file, { timeout: BUSY_TIMEOUT_MS }));
  const statements = createStatementCache(database);
  let isOpen = true;
  return {
    exec: (sql) => translate(() => void database.exec(sql)),
    rows: (sql) => translate(() => database.prepare(sql).all() as Record<string, unknown>[]),
    isInTransaction: () => database.inTransaction,
    executeQuery: async (query) => translate(() => execute(statements(query.sql), query)),
    close: () => {
      if (!isOpen) return;
      isOpen = false;
      translate(() => void database.close());
    },
  };
}

/** Keeps the statements that were used last. */
function createStatementCache(database: Database.Database): (sql: string) => PreparedStatement {
  const cache = new Map<string, PreparedStatement>();
  return (sql) => {
    const found = cache.get(sql);
    if (found) return found;
    const statement: Statement = database.prepare(sql);
    const made = { statement, isReader: statement.reader };
    if (cache.size >= MAX_PREPARED_STATEMENTS) {
      for (const oldest of cache.keys()) {
        cache.delete(oldest);
        break;
      }
    }
    cache.set(sql, made);
    return made;
  };
}

interface PreparedStatement {
  readonly statement: Statement;
  /** Whether it gives rows: a select, or a write with RETURNING. */
  readonly isReader: boolean;
}

function execute<R>({ statement, isReader }: PreparedStatement, query: CompiledQuery<R>): QueryResult<R> {
  const values = query.parameters.map(checkValue);
  // `all`, not `get`: the driver adds a property of its own to the single row that `get` gives.
  if (isReader) return { rows: statement.all(values) as R[] };
  return { rows: [], numAffectedRows: BigInt(statement.run(values).changes) };
}

function checkValue(value: unknown): unknown {
  const type = typeof value;
  if (type === "string" || value === null || value instanceof Uint8Array) return value;
  if (type === "number" && Number.isSafeInteger(value)) return value;
  throw new TypeError(`a value of type ${type} cannot be stored; only text, safe integers, bytes and null can`);
}
