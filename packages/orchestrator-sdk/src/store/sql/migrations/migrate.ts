/**
 * Brings a database to the newest schema, forward only.
 *
 * Migrations are modules, not files found at run time, so that a bundle holds them. Their names order them.
 */
import { DEFAULT_MIGRATION_TABLE, type Kysely, type Migration, Migrator, sql } from "kysely";
import { CortexError, toCortexError } from "@cortex-mesh/protocol";
import type { SqlDialect } from "../schema.js";
import { initial } from "./initial.js";

/** Every migration by name, in the order of their names. */
function listMigrations(dialect: SqlDialect): Record<string, Migration> {
  return { "0001-initial": initial(dialect) };
}

/**
 * Runs what was not run yet, under Kysely's migration lock.
 *
 * @throws CortexError `NOT_SUPPORTED` when a newer version wrote the database; what the database refuses.
 */
export async function migrate<Schema>(db: Kysely<Schema>, dialect: SqlDialect): Promise<void> {
  const migrations = listMigrations(dialect);
  const unknown = (await readApplied(db)).filter((name) => !Object.hasOwn(migrations, name));
  if (unknown.length > 0) {
    const names = unknown.join(", ");
    throw new CortexError("NOT_SUPPORTED", `a newer version of Cortex wrote the database (migrations: ${names})`);
  }
  const migrator = new Migrator({ db, provider: { getMigrations: () => Promise.resolve(migrations) } });
  const { error } = await migrator.migrateToLatest();
  if (error) throw toCortexError(error);
}

async function readApplied<Schema>(db: Kysely<Schema>): Promise<string[]> {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true });
  if (!tables.some(({ name }) => name === DEFAULT_MIGRATION_TABLE)) return [];
  const { rows } = await sql<{ name: string }>`select name from ${sql.table(DEFAULT_MIGRATION_TABLE)}`.execute(db);
  return rows.map(({ name }) => name);
}
