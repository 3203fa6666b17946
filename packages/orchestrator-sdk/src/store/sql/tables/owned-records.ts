/**
 * Reads and writes that invites, nodes and sessions share: a record with an id, an owner and a revision.
 *
 * The owner of a record never changes: an update that names another one replaces nothing.
 */
import type { Kysely } from "kysely";
import type { UserId } from "@cortex-mesh/protocol";
import { checkPageLimit, revisionConflict } from "../../refusal.js";
import { isVisible, type Scope } from "../../scope.js";
import type { PageRequest } from "../../store.js";
import type { Executor } from "../executor.js";
import { fromJsonText, toJsonText } from "../json-text.js";
import { type Prepared, prepare } from "../prepared.js";
import type { HubSchema, OwnedRow } from "../schema.js";

/** What every owned record has. */
interface OwnedRecord {
  readonly ownerId: UserId;
  readonly revision: number;
}

/** The revision that a write must find. */
interface Replacement {
  readonly replaced_revision: number;
}

/** The operations on one kind of owned record. */
export interface OwnedRecords<R extends OwnedRecord> {
  get(scope: Scope, id: string): Promise<R | undefined>;
  list(scope: Scope, page: PageRequest): Promise<R[]>;
  insert(record: R): Promise<void>;
  update(record: R): Promise<void>;
}

/** Which table, what to call a record in messages, and where its id is. */
export interface OwnedKind<R extends OwnedRecord> {
  readonly table: "invites" | "nodes" | "sessions";
  readonly noun: string;
  readonly idOf: (record: R) => string;
}

/** Prepares the queries of one table of owned records. */
export function createOwnedRecords<R extends OwnedRecord>(
  db: Kysely<HubSchema>,
  { table, noun, idOf }: OwnedKind<R>,
): (executor: Executor) => OwnedRecords<R> {
  const queries = prepareQueries(db, table);
  const encode = (record: R): OwnedRow & Replacement => ({
    id: idOf(record),
    owner_id: record.ownerId,
    revision: record.revision,
    replaced_revision: record.revision - 1,
    doc: toJsonText(record),
  });
  const write = async (
    executor: Executor,
    query: Prepared<OwnedRow & Replacement, unknown>,
    record: R,
  ): Promise<void> => {
    const { numAffectedRows } = await query(executor, encode(record));
    if (numAffectedRows !== 1n) throw revisionConflict(noun, idOf(record));
  };
  return (executor) => ({
    get: async (scope, id) => {
      const row = (await queries.get(executor, { id })).rows[0];
      return row && isVisible(scope, row.owner_id as UserId) ? fromJsonText<R>(row.doc) : undefined;
    },
    list: async (scope, { after = "", limit }) => {
      checkPageLimit(limit);
      const { rows } =
        scope.kind === "user"
          ? await queries.listOwned(executor, { owner_id: scope.userId, after, limit })
          : await queries.list(executor, { after, limit });
      return rows.map((row) => fromJsonText<R>(row.doc));
    },
    insert: (record) => write(executor, queries.insert, record),
    update: (record) => write(executor, queries.update, record),
  });
}

function prepareQueries(db: Kysely<HubSchema>, name: OwnedKind<OwnedRecord>["table"]) {
  // The three tables have the same columns; naming one of them keeps the builder's types simple.
  const table = name as "nodes";
  return {
    get: prepare((p: Pick<OwnedRow, "id">) => db.selectFrom(table).select(["owner_id", "doc"]).where("id", "=", p.id)),
    list: prepare((p: { after: string; limit: number }) =>
      db.selectFrom(table).select("doc").where("id", ">", p.after).orderBy("id").limit(p.limit),
    ),
    listOwned: prepare((p: { owner_id: string; after: string; limit: number }) =>
      db
        .selectFrom(table)
        .select("doc")
        .where("owner_id", "=", p.owner_id)
        .where("id", ">", p.after)
        .orderBy("id")
        .limit(p.limit),
    ),
    insert: prepare((p: OwnedRow) =>
      db
        .insertInto(table)
        .values({ id: p.id, owner_id: p.owner_id, revision: p.revision, doc: p.doc })
        .onConflict((conflict) => conflict.doNothing()),
    ),
    update: prepare((p: OwnedRow & Replacement) =>
      db
        .updateTable(table)
        .set({ revision: p.revision, doc: p.doc })
        .where("id", "=", p.id)
        .where("owner_id", "=", p.owner_id)
        .where("revision", "=", p.replaced_revision),
    ),
  };
}
