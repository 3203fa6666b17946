/**
 * Tasks: the record that changes, the request that does not, and the lists by session, node and state.
 *
 * Session, owner and idempotency key of a task never change: an update leaves their columns as they were inserted.
 */
import type { Kysely } from "kysely";
import type { UserId } from "@cortex-mesh/protocol";
import type { TaskRecord, TaskRequestRecord } from "../../records.js";
import { checkPageLimit, revisionConflict } from "../../refusal.js";
import { isVisible } from "../../scope.js";
import type { TaskReads, TaskWrites } from "../../store.js";
import type { Executor } from "../executor.js";
import { fromJsonText, toJsonText } from "../json-text.js";
import { prepare } from "../prepared.js";
import type { HubSchema, TaskRow } from "../schema.js";
import { createTaskLists, isLiveState } from "./task-lists.js";

/** Prepares the queries of the tasks. */
export function createTasksTable(db: Kysely<HubSchema>): (executor: Executor) => TaskReads & TaskWrites {
  const queries = prepareQueries(db);
  const lists = createTaskLists(db);
  return (executor) => ({
    get: async (scope, taskId) => {
      const row = (await queries.get(executor, { task_id: taskId })).rows[0];
      return row && isVisible(scope, row.owner_id as UserId) ? fromJsonText<TaskRecord>(row.doc) : undefined;
    },
    request: async (scope, taskId) => {
      const row = (await queries.request(executor, { task_id: taskId })).rows[0];
      return row && isVisible(scope, row.owner_id as UserId) ? fromJsonText<TaskRequestRecord>(row.doc) : undefined;
    },
    byIdempotencyKey: async (ownerId, key) => {
      const wanted = { owner_id: ownerId, idempotency_key: toJsonText(key) };
      const row = (await queries.byIdempotencyKey(executor, wanted)).rows[0];
      return row && fromJsonText<TaskRecord>(row.doc);
    },
    list: async (scope, filter, page) => {
      checkPageLimit(page.limit);
      return (await lists(executor, { scope, filter, page })).map((row) => fromJsonText<TaskRecord>(row.doc));
    },
    insert: async (task, request) => {
      const { numAffectedRows } = await queries.insert(executor, encode(task));
      if (numAffectedRows !== 1n) throw revisionConflict("task", task.taskId);
      await queries.insertRequest(executor, { task_id: task.taskId, doc: toJsonText(request) });
      await queries.insertOutput(executor, { task_id: task.taskId });
    },
    update: async (task) => {
      const { numAffectedRows } = await queries.update(executor, encode(task));
      if (numAffectedRows !== 1n) throw revisionConflict("task", task.taskId);
    },
  });
}

/** The revision that a write must find. */
interface Replacement {
  readonly replaced_revision: number;
}

function encode(task: TaskRecord): TaskRow & Replacement {
  return {
    task_id: task.taskId,
    session_id: task.sessionId,
    owner_id: task.ownerId,
    revision: task.revision,
    replaced_revision: task.revision - 1,
    state: task.state,
    is_live: isLiveState(task.state) ? 1 : 0,
    node_id: task.nodeId ?? null,
    idempotency_key: task.idempotencyKey === undefined ? null : toJsonText(task.idempotencyKey),
    doc: toJsonText(task),
  };
}

function prepareQueries(db: Kysely<HubSchema>) {
  return {
    get: prepare((p: Pick<TaskRow, "task_id">) =>
      db.selectFrom("tasks").select(["owner_id", "doc"]).where("task_id", "=", p.task_id),
    ),
    request: prepare((p: Pick<TaskRow, "task_id">) =>
      db
        .selectFrom("task_requests")
        .innerJoin("tasks", "tasks.task_id", "task_requests.task_id")
        .select(["tasks.owner_id", "task_requests.doc"])
        .where("task_requests.task_id", "=", p.task_id),
    ),
    byIdempotencyKey: prepare((p: { owner_id: string; idempotency_key: string }) =>
      db
        .selectFrom("tasks")
        .select("doc")
        .where("owner_id", "=", p.owner_id)
        .where("idempotency_key", "=", p.idempotency_key),
    ),
    ...prepareWrites(db),
  };
}

function prepareWrites(db: Kysely<HubSchema>) {
  return {
    insert: prepare((p: TaskRow) =>
      db
        .insertInto("tasks")
        .values({
          task_id: p.task_id,
          session_id: p.session_id,
          owner_id: p.owner_id,
          revision: p.revision,
          state: p.state,
          is_live: p.is_live,
          node_id: p.node_id,
          idempotency_key: p.idempotency_key,
          doc: p.doc,
        })
        .onConflict((conflict) => conflict.doNothing()),
    ),
    insertRequest: prepare((p: { task_id: string; doc: string }) =>
      db.insertInto("task_requests").values({ task_id: p.task_id, doc: p.doc }),
    ),
    insertOutput: prepare((p: { task_id: string }) =>
      db.insertInto("task_outputs").values({
        task_id: p.task_id,
        last_seq: 0,
        stdout_bytes: 0,
        stderr_bytes: 0,
        attempt: 0,
        origin_seq: 0,
        has_gap: 0,
        is_complete: 0,
      }),
    ),
    update: prepare((p: TaskRow & Replacement) =>
      db
        .updateTable("tasks")
        .set({ revision: p.revision, state: p.state, is_live: p.is_live, node_id: p.node_id, doc: p.doc })
        .where("task_id", "=", p.task_id)
        .where("owner_id", "=", p.owner_id)
        .where("session_id", "=", p.session_id)
        .where("revision", "=", p.replaced_revision),
    ),
  };
}
