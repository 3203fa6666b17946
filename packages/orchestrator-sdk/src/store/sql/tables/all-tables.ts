/** Every table of the store, prepared once and bound to an executor for each transaction. */
import type { Kysely } from "kysely";
import type { StoreTransaction } from "../../store.js";
import type { Executor } from "../executor.js";
import type { HubSchema } from "../schema.js";
import { createEventsTable } from "./events.js";
import { createFeedTable } from "./feed.js";
import { createInvitesTable } from "./invites.js";
import { createKeysTable } from "./keys.js";
import { createNodesTable } from "./nodes.js";
import { createSessionsTable } from "./sessions.js";
import { createTasksTable } from "./tasks.js";
import { createUsersTable } from "./users.js";

/** Gives the reads and writes of every table over one executor. */
export type BindTables = (executor: Executor) => StoreTransaction;

/** Prepares every query for the dialect of `db`; `db` compiles, it runs nothing. */
export function createTables(db: Kysely<HubSchema>): BindTables {
  const tables = {
    users: createUsersTable(db),
    invites: createInvitesTable(db),
    nodes: createNodesTable(db),
    sessions: createSessionsTable(db),
    tasks: createTasksTable(db),
    events: createEventsTable(db),
    feed: createFeedTable(db),
    keys: createKeysTable(db),
  };
  return (executor) => bindLazily(tables, executor);
}

/** Binds a table when it is first touched: most transactions touch two or three. */
function bindLazily(
  tables: { readonly [Name in keyof StoreTransaction]: (executor: Executor) => StoreTransaction[Name] },
  executor: Executor,
): StoreTransaction {
  const bound: { -readonly [Name in keyof StoreTransaction]?: StoreTransaction[Name] } = {};
  return {
    get users() {
      return (bound.users ??= tables.users(executor));
    },
    get invites() {
      return (bound.invites ??= tables.invites(executor));
    },
    get nodes() {
      return (bound.nodes ??= tables.nodes(executor));
    },
    get sessions() {
      return (bound.sessions ??= tables.sessions(executor));
    },
    get tasks() {
      return (bound.tasks ??= tables.tasks(executor));
    },
    get events() {
      return (bound.events ??= tables.events(executor));
    },
    get feed() {
      return (bound.feed ??= tables.feed(executor));
    },
    get keys() {
      return (bound.keys ??= tables.keys(executor));
    },
  };
}
