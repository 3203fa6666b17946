/** The first tables. A migration that was released never changes; a later one alters what it made. */
import { type CreateTableBuilder, type Kysely, type Migration, sql } from "kysely";
import type { SqlDialect } from "../schema.js";

/** Lists of the hub itself look at these only. */
const LIVE = sql<boolean>`is_live = 1`;

/** Columns and indexes as `schema.ts` describes them. */
export function initial(dialect: SqlDialect): Migration {
  return {
    // A migration sees the tables as they were at its time, so it uses no type of today's schema.
    up: async (db: Kysely<unknown>) => {
      await createOwners(db);
      await createTasks(db);
      await createTaskLogs(db, dialect);
      await createFeed(db, dialect);
    },
  };
}

/**
 * Keeps the rows of a table in its primary key's tree: one page written for each small row instead of two.
 *
 * Only SQLite is told; the rows of Postgres lie apart from their indexes.
 */
function clustered<T extends CreateTableBuilder<string, string>>(
  table: T,
  dialect: SqlDialect,
): CreateTableBuilder<string, string> {
  return dialect === "sqlite" ? table.modifyEnd(sql`without rowid`) : table;
}

async function createOwners(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable("users")
    .addColumn("user_id", "text", (column) => column.notNull().primaryKey())
    .addColumn("token_sha256", "text", (column) => column.notNull().unique())
    .addColumn("doc", "text", (column) => column.notNull())
    .execute();
  for (const table of ["invites", "nodes", "sessions"]) {
    await db.schema
      .createTable(table)
      .addColumn("id", "text", (column) => column.notNull().primaryKey())
      .addColumn("owner_id", "text", (column) => column.notNull())
      .addColumn("revision", "bigint", (column) => column.notNull())
      .addColumn("doc", "text", (column) => column.notNull())
      .execute();
    await db.schema.createIndex(`${table}_of_owner`).on(table).columns(["owner_id", "id"]).execute();
  }
  await db.schema
    .createTable("keys")
    .addColumn("name", "text", (column) => column.notNull().primaryKey())
    // SQLite takes any type name and stores bytes as bytes under this one.
    .addColumn("value", "bytea", (column) => column.notNull())
    .execute();
}

async function createTasks(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable("tasks")
    .addColumn("task_id", "text", (column) => column.notNull().primaryKey())
    .addColumn("session_id", "text", (column) => column.notNull())
    .addColumn("owner_id", "text", (column) => column.notNull())
    .addColumn("revision", "bigint", (column) => column.notNull())
    .addColumn("state", "text", (column) => column.notNull())
    .addColumn("is_live", "integer", (column) => column.notNull())
    .addColumn("node_id", "text")
    .addColumn("idempotency_key", "text")
    .addColumn("doc", "text", (column) => column.notNull())
    .execute();
  const index = (name: string) => db.schema.createIndex(name).on("tasks");
  await index("tasks_of_session").columns(["session_id", "task_id"]).execute();
  await index("tasks_of_owner").columns(["owner_id", "task_id"]).execute();
  await index("tasks_live").columns(["task_id"]).where(LIVE).execute();
  await index("tasks_live_of_node").columns(["node_id", "task_id"]).where(LIVE).execute();
  await index("tasks_idempotency_key")
    .unique()
    .columns(["owner_id", "idempotency_key"])
    .where(sql<boolean>`idempotency_key is not null`)
    .execute();
  await db.schema
    .createTable("task_requests")
    .addColumn("task_id", "text", (column) => column.notNull().primaryKey())
    .addColumn("doc", "text", (column) => column.notNull())
    .execute();
}

async function createTaskLogs(db: Kysely<unknown>, dialect: SqlDialect): Promise<void> {
  const outputs = db.schema
    .createTable("task_outputs")
    .addColumn("task_id", "text", (column) => column.notNull().primaryKey())
    .addColumn("last_seq", "bigint", (column) => column.notNull())
    .addColumn("stdout_bytes", "bigint", (column) => column.notNull())
    .addColumn("stderr_bytes", "bigint", (column) => column.notNull())
    .addColumn("attempt", "bigint", (column) => column.notNull())
    .addColumn("origin_seq", "bigint", (column) => column.notNull())
    .addColumn("has_gap", "integer", (column) => column.notNull())
    .addColumn("is_complete", "integer", (column) => column.notNull());
  const events = db.schema
    .createTable("task_events")
    .addColumn("task_id", "text", (column) => column.notNull())
    .addColumn("seq", "bigint", (column) => column.notNull())
    .addColumn("kind", "text", (column) => column.notNull())
    .addColumn("at_ms", "bigint", (column) => column.notNull())
    .addColumn("data", "text")
    .addColumn("byte_offset", "bigint", (column) => column.notNull())
    .addColumn("byte_length", "bigint", (column) => column.notNull())
    .addPrimaryKeyConstraint("task_events_key", ["task_id", "seq"]);
  for (const table of [outputs, events]) await clustered(table, dialect).execute();
}

async function createFeed(db: Kysely<unknown>, dialect: SqlDialect): Promise<void> {
  const heads = db.schema
    .createTable("feed_heads")
    .addColumn("user_id", "text", (column) => column.notNull().primaryKey())
    .addColumn("first_seq", "bigint", (column) => column.notNull())
    .addColumn("last_seq", "bigint", (column) => column.notNull());
  const events = db.schema
    .createTable("feed_events")
    .addColumn("user_id", "text", (column) => column.notNull())
    .addColumn("seq", "bigint", (column) => column.notNull())
    .addColumn("kind", "text", (column) => column.notNull())
    .addColumn("at_ms", "bigint", (column) => column.notNull())
    .addColumn("data", "text", (column) => column.notNull())
    .addPrimaryKeyConstraint("feed_events_key", ["user_id", "seq"]);
  for (const table of [heads, events]) await clustered(table, dialect).execute();
}
