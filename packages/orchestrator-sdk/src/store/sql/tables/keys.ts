/** Small named values: bytes under a name. */
import type { Kysely } from "kysely";
import type { KeyReads, KeyWrites } from "../../store.js";
import type { Executor } from "../executor.js";
import { toJsonText } from "../json-text.js";
import { prepare } from "../prepared.js";
import type { HubSchema, KeyRow } from "../schema.js";

/** Prepares the queries of the keys table. */
export function createKeysTable(db: Kysely<HubSchema>): (executor: Executor) => KeyReads & KeyWrites {
  const get = prepare((p: { name: string }) => db.selectFrom("keys").select("value").where("name", "=", p.name));
  const set = prepare((p: KeyRow) =>
    db
      .insertInto("keys")
      .values({ name: p.name, value: p.value })
      .onConflict((conflict) => conflict.column("name").doUpdateSet({ value: p.value })),
  );
  return (executor) => ({
    get: async (name) => {
      const row = (await get(executor, { name: toJsonText(name) })).rows[0];
      // Drivers give a Buffer or an ArrayBuffer; both become plain bytes.
      return row && new Uint8Array(row.value);
    },
    set: async (name, value) => {
      await set(executor, { name: toJsonText(name), value });
    },
  });
}
