/** Sessions, and the removal of one with everything that belongs to it. */
import type { Kysely } from "kysely";
import type { SessionRecord } from "../../records.js";
import type { SessionReads, SessionWrites } from "../../store.js";
import type { Executor } from "../executor.js";
import { prepare } from "../prepared.js";
import type { HubSchema } from "../schema.js";
import { createOwnedRecords } from "./owned-records.js";

/** Prepares the queries of the sessions table. */
export function createSessionsTable(db: Kysely<HubSchema>): (executor: Executor) => SessionReads & SessionWrites {
  const records = createOwnedRecords<SessionRecord>(db, {
    table: "sessions",
    noun: "session",
    idOf: (session) => session.sessionId,
  });
  const removal = prepareRemoval(db);
  return (executor) => ({
    ...records(executor),
    remove: async (sessionId) => {
      for (const query of removal.belongings) await query(executor, { id: sessionId });
      return (await removal.session(executor, { id: sessionId })).numAffectedRows === 1n;
    },
  });
}

/** The deletes, children first: nothing is left behind that names a task which is gone. */
function prepareRemoval(db: Kysely<HubSchema>) {
  const ofTasks = (table: "task_events" | "task_outputs" | "task_requests") =>
    prepare((p: { id: string }) =>
      db
        .deleteFrom(table)
        .where("task_id", "in", (query) => query.selectFrom("tasks").select("task_id").where("session_id", "=", p.id)),
    );
  return {
    belongings: [
      ofTasks("task_events"),
      ofTasks("task_outputs"),
      ofTasks("task_requests"),
      prepare((p: { id: string }) => db.deleteFrom("tasks").where("session_id", "=", p.id)),
    ],
    session: prepare((p: { id: string }) => db.deleteFrom("sessions").where("id", "=", p.id)),
  };
}
