/**
 * A {@link HubStore} over one SQL database: reads by one executor, transactions by the queue.
 *
 * A dialect's adapter opens the database and hands in how to read, how to run transactions and how to close.
 */
import type { Kysely } from "kysely";
import { storeClosed } from "../refusal.js";
import type { HubStore, StoreCapabilities } from "../store.js";
import { type Executor, guardExecutor } from "./executor.js";
import type { HubSchema } from "./schema.js";
import { createTables } from "./tables/all-tables.js";
import type { TransactionEngine } from "./transaction-engine.js";
import { type CommitFigures, createTransactionQueue } from "./transaction-queue.js";

/** What a {@link createSqlStore} is made of. */
export interface SqlStoreOptions {
  readonly capabilities: StoreCapabilities;
  /** Compiles the queries for the dialect. */
  readonly compiler: Kysely<HubSchema>;
  /** Runs reads outside transactions; sees committed data only. */
  readonly reader: Executor;
  readonly engine: TransactionEngine;
  /** Transactions that wait, at most. @default MAX_QUEUED_TRANSACTIONS */
  readonly maxQueuedCount?: number | undefined;
  /** Hears of each commit. Must not throw. */
  readonly onCommit?: ((commit: CommitFigures) => void) | undefined;
  /** Closes the database; called once, after the last transaction settled. */
  readonly close: () => Promise<void>;
}

/** Makes a store of an open, migrated database. */
export function createSqlStore(options: SqlStoreOptions): HubStore {
  const bind = createTables(options.compiler);
  const queue = createTransactionQueue({
    engine: options.engine,
    onCommit: options.onCommit,
    ...(options.maxQueuedCount === undefined ? {} : { maxQueuedCount: options.maxQueuedCount }),
  });
  let closing: Promise<void> | undefined;
  const reads = bind(guardExecutor(options.reader, () => (closing ? storeClosed() : undefined)));
  const close = (): Promise<void> => {
    closing ??= queue.close().then(options.close);
    return closing;
  };
  return {
    capabilities: options.capabilities,
    users: reads.users,
    invites: reads.invites,
    nodes: reads.nodes,
    sessions: reads.sessions,
    tasks: reads.tasks,
    events: reads.events,
    feed: reads.feed,
    keys: reads.keys,
    transaction: (work) => queue.run((executor) => work(bind(executor))),
    close,
    [Symbol.asyncDispose]: close,
  };
}
