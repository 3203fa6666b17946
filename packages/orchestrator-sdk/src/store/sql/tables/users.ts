/** Users of the reference hub, and the tokens they are known by. */
import type { Kysely } from "kysely";
import type { UserRecord } from "../../records.js";
import { checkPageLimit, revisionConflict } from "../../refusal.js";
import type { UserReads, UserWrites } from "../../store.js";
import type { Executor } from "../executor.js";
import { fromJsonText, toJsonText } from "../json-text.js";
import { prepare } from "../prepared.js";
import type { HubSchema, UserRow } from "../schema.js";

/** Prepares the queries of the users table. */
export function createUsersTable(db: Kysely<HubSchema>): (executor: Executor) => UserReads & UserWrites {
  const get = prepare((p: Pick<UserRow, "user_id">) =>
    db.selectFrom("users").select("doc").where("user_id", "=", p.user_id),
  );
  const byToken = prepare((p: Pick<UserRow, "token_sha256">) =>
    db.selectFrom("users").select("doc").where("token_sha256", "=", p.token_sha256),
  );
  const list = prepare((p: { after: string; limit: number }) =>
    db.selectFrom("users").select("doc").where("user_id", ">", p.after).orderBy("user_id").limit(p.limit),
  );
  const insert = prepare((p: UserRow) =>
    db
      .insertInto("users")
      .values({ user_id: p.user_id, token_sha256: p.token_sha256, doc: p.doc })
      .onConflict((conflict) => conflict.doNothing()),
  );
  const remove = prepare((p: Pick<UserRow, "user_id">) => db.deleteFrom("users").where("user_id", "=", p.user_id));

  return (executor) => ({
    get: async (userId) => decode((await get(executor, { user_id: userId })).rows[0]),
    byToken: async (tokenSha256) => decode((await byToken(executor, { token_sha256: tokenSha256 })).rows[0]),
    list: async ({ after = "", limit }) => {
      checkPageLimit(limit);
      return (await list(executor, { after, limit })).rows.map((row) => fromJsonText<UserRecord>(row.doc));
    },
    insert: async (user) => {
      const row = { user_id: user.userId, token_sha256: user.tokenSha256, doc: toJsonText(user) };
      const { numAffectedRows } = await insert(executor, row);
      if (numAffectedRows !== 1n) throw revisionConflict("user", user.userId);
    },
    remove: async (userId) => (await remove(executor, { user_id: userId })).numAffectedRows === 1n,
  });
}

function decode(row: Pick<UserRow, "doc"> | undefined): UserRecord | undefined {
  return row && fromJsonText<UserRecord>(row.doc);
}
