/** The feed of each user: numbered in the transaction, pruned from the old end. */
import type { Kysely } from "kysely";
import type { FeedEvent, JsonObject } from "../../records.js";
import { checkCount } from "../../refusal.js";
import type { FeedReads, FeedWrites } from "../../store.js";
import type { Executor } from "../executor.js";
import { fromJsonText, toJsonText } from "../json-text.js";
import { prepare } from "../prepared.js";
import type { FeedEventRow, HubSchema } from "../schema.js";
import { createRowInserts } from "./row-inserts.js";

/** Prepares the queries of the feed. */
export function createFeedTable(db: Kysely<HubSchema>): (executor: Executor) => FeedReads & FeedWrites {
  const queries = prepareQueries(db);
  const insertRows = createRowInserts<FeedEventRow>(["user_id", "seq", "kind", "at_ms", "data"], (rows) =>
    db.insertInto("feed_events").values(rows),
  );
  const range = async (executor: Executor, userId: string) => {
    const row = (await queries.range(executor, { user_id: userId })).rows[0];
    return { firstSeq: row?.first_seq ?? 1, lastSeq: row?.last_seq ?? 0 };
  };
  return (executor) => ({
    read: async (userId, { afterSeq, limit }) => {
      checkCount("afterSeq", afterSeq);
      checkCount("limit", limit, 1);
      return (await queries.read(executor, { user_id: userId, after: afterSeq, limit })).rows.map(decode);
    },
    range: (userId) => range(executor, userId),
    append: async (userId, events) => {
      const { rows } = await queries.advance(executor, { user_id: userId, count: events.length });
      const first = (rows[0]?.last_seq ?? 0) - events.length + 1;
      await insertRows(
        executor,
        events.map((event, index) => ({
          user_id: userId,
          seq: first + index,
          kind: event.kind,
          at_ms: event.atMs,
          data: toJsonText(event.data),
        })),
      );
      return first;
    },
    prune: async (userId, keep) => {
      checkCount("keep", keep);
      const kept = await range(executor, userId);
      const firstSeq = kept.lastSeq - keep + 1;
      if (firstSeq <= kept.firstSeq) return;
      await queries.prune(executor, { user_id: userId, first_seq: firstSeq });
      await queries.setFirst(executor, { user_id: userId, first_seq: firstSeq });
    },
  });
}

function prepareQueries(db: Kysely<HubSchema>) {
  return {
    range: prepare((p: { user_id: string }) =>
      db.selectFrom("feed_heads").select(["first_seq", "last_seq"]).where("user_id", "=", p.user_id),
    ),
    read: prepare((p: { user_id: string; after: number; limit: number }) =>
      db
        .selectFrom("feed_events")
        .select(["seq", "kind", "at_ms", "data"])
        .where("user_id", "=", p.user_id)
        .where("seq", ">", p.after)
        .orderBy("seq")
        .limit(p.limit),
    ),
    advance: prepare((p: { user_id: string; count: number }) =>
      db
        .insertInto("feed_heads")
        .values({ user_id: p.user_id, first_seq: 1, last_seq: p.count })
        .onConflict((conflict) =>
          conflict.column("user_id").doUpdateSet((set) => ({ last_seq: set("feed_heads.last_seq", "+", p.count) })),
        )
        .returning("last_seq"),
    ),
    prune: prepare((p: { user_id: string; first_seq: number }) =>
      db.deleteFrom("feed_events").where("user_id", "=", p.user_id).where("seq", "<", p.first_seq),
    ),
    setFirst: prepare((p: { user_id: string; first_seq: number }) =>
      db.updateTable("feed_heads").set({ first_seq: p.first_seq }).where("user_id", "=", p.user_id),
    ),
  };
}

function decode(row: Omit<FeedEventRow, "user_id">): FeedEvent {
  return { seq: row.seq, kind: row.kind, atMs: row.at_ms, data: fromJsonText<JsonObject>(row.data) };
}
