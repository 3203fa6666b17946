/**
 * The default store of a hub: one SQLite file.
 *
 * A resolved transaction survives power loss (WAL with synchronous=FULL, and transactions share their fsyncs). One
 * process writes at a time; a second hub on the same file is not corrupted, but waits and may be refused.
 */
import { closeSync, fsyncSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { CortexError } from "@cortex-mesh/protocol";
import { migrate } from "../sql/migrations/migrate.js";
import { createSqlStore } from "../sql/sql-store.js";
import type { CommitFigures } from "../sql/transaction-queue.js";
import type { HubStore } from "../store.js";
import { openSqliteConnection, type SqliteConnection } from "./sqlite-connection.js";
import { createSqliteKysely } from "./sqlite-dialect.js";
import { createSqliteEngine } from "./sqlite-engine.js";

/** Where the database is. */
export interface SqliteStoreOptions {
  /** The file; made with mode 0600 when it is not there. Its directory must exist. SQLite keeps `-wal` and `-shm` beside it. */
  readonly path: string;
  /** Transactions that wait, at most; beyond it they are refused as `UNAVAILABLE`. @default 8192 */
  readonly maxQueuedTransactions?: number;
  /** Hears of each commit, after it is durable. Must not throw. @default nobody does */
  readonly onCommit?: ((commit: CommitFigures) => void) | undefined;
}

/**
 * Pages (4 KiB) of the log after which SQLite moves them into the file.
 *
 * A page that every commit touches is moved once for all of them, so four times SQLite's default saves a fifth of the
 * writing; the log stays about 16 MiB.
 */
const CHECKPOINT_PAGES = 4000;

/** Memory for pages of each connection, in KiB; more than a batch dirties, else SQLite writes them out early. */
const CACHE_KIB = 16 * 1024;

/**
 * Opens the store in a SQLite file, makes or migrates its tables, and checks the whole file.
 *
 * Cost: reads the file once.
 *
 * @throws CortexError `DATA_CORRUPT` naming the file when it is damaged or no database; `NOT_SUPPORTED` when a
 * newer version wrote it; `UNAVAILABLE` while another process holds it. What the file system refuses comes as it is.
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<HubStore> {
  const { path, maxQueuedTransactions, onCommit } = options;
  createPrivately(path);
  const writer = openSqliteConnection(path);
  let reader: SqliteConnection | undefined;
  try {
    configureWriter(writer, path);
    const kysely = createSqliteKysely(writer);
    await migrate(kysely, "sqlite");
    reader = openSqliteConnection(path);
    reader.exec("pragma query_only = on");
    return createSqlStore({
      capabilities: { durable: true, shared: false },
      compiler: kysely,
      reader,
      engine: createSqliteEngine(writer),
      maxQueuedCount: maxQueuedTransactions,
      onCommit,
      close: closeBoth(reader, writer),
    });
  } catch (error) {
    reader?.close();
    writer.close();
    throw error;
  }
}

/** Makes the file with its final mode, so that its content is private from the first byte. */
function createPrivately(path: string): void {
  try {
    closeSync(openSync(path, "wx", 0o600));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return;
    throw error;
  }
  const directory = openSync(dirname(path), "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

function configureWriter(writer: SqliteConnection, path: string): void {
  const [mode] = writer.rows("pragma journal_mode = wal");
  if (mode?.["journal_mode"] !== "wal") {
    throw new CortexError("INTERNAL", `${path} is on a file system without shared memory, which the log needs`);
  }
  writer.exec("pragma synchronous = full");
  writer.exec("pragma foreign_keys = on");
  writer.exec(`pragma wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
  writer.exec(`pragma cache_size = -${CACHE_KIB}`);
  const [check] = writer.rows("pragma quick_check(1)");
  const finding = String(check?.["quick_check"]);
  if (finding === "ok") return;
  throw new CortexError("DATA_CORRUPT", `the database ${path} is damaged: ${finding}`, { details: { file: path } });
}

function closeBoth(reader: SqliteConnection, writer: SqliteConnection): () => Promise<void> {
  return async () => {
    reader.close();
    try {
      // Moves everything into the one file, so that a copy of it is complete.
      writer.exec("pragma wal_checkpoint(truncate)");
    } finally {
      writer.close();
    }
  };
}
