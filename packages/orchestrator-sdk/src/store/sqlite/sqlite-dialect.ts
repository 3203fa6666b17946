/**
 * Kysely's view of one {@link SqliteConnection}: enough to compile queries and to run migrations.
 *
 * The compiler and the introspection are Kysely's; only the way to the connection is ours. There is no pool and no
 * lock: whoever uses it runs one thing at a time.
 */
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type DialectAdapter,
  type Driver,
  Kysely,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from "kysely";
import type { HubSchema } from "../sql/schema.js";
import type { SqliteConnection } from "./sqlite-connection.js";

/** Makes Kysely work on one connection. It does not close the connection. */
export function createSqliteKysely(connection: SqliteConnection): Kysely<HubSchema> {
  const dialect: Dialect = {
    createAdapter: () => ADAPTER,
    createDriver: () => createDriver(connection),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  };
  return new Kysely<HubSchema>({ dialect });
}

/** Unlike Kysely's own adapter it runs migrations in a transaction, which SQLite can; BEGIN IMMEDIATE is the lock. */
const ADAPTER: DialectAdapter = {
  supportsCreateIfNotExists: true,
  supportsTransactionalDdl: true,
  supportsReturning: true,
  acquireMigrationLock: () => Promise.resolve(),
  releaseMigrationLock: () => Promise.resolve(),
};

function createDriver(connection: SqliteConnection): Driver {
  const kyselyConnection: DatabaseConnection = {
    executeQuery: <R>(query: CompiledQuery) => connection.executeQuery<R>(query),
    streamQuery: () => {
      throw new TypeError("this database is read by pages, not by streams");
    },
  };
  const exec = async (sql: string): Promise<void> => connection.exec(sql);
  return {
    init: () => Promise.resolve(),
    acquireConnection: () => Promise.resolve(kyselyConnection),
    releaseConnection: () => Promise.resolve(),
    beginTransaction: () => exec("begin immediate"),
    commitTransaction: () => exec("commit"),
    rollbackTransaction: () => exec("rollback"),
    destroy: () => Promise.resolve(),
  };
}
