/**
 * Events of tasks and how far their output is committed.
 *
 * Numbers come from the task's output row, moved and read in one statement, so that they have no gaps: a transaction
 * that is rolled back takes its numbers back with it.
 */
import type { Kysely } from "kysely";
import type { TaskId, UserId } from "@cortex-mesh/protocol";
import type { Json, OutputRecord, TaskEvent, TaskEventKind } from "../../records.js";
import { checkCount, unknownTask } from "../../refusal.js";
import { isVisible } from "../../scope.js";
import type { EventReads, EventWrites } from "../../store.js";
import type { Executor } from "../executor.js";
import { fromJsonText, toJsonText } from "../json-text.js";
import { prepare } from "../prepared.js";
import type { HubSchema, TaskEventRow, TaskOutputRow } from "../schema.js";
import { createRowInserts } from "./row-inserts.js";

/** Prepares the queries of task events and outputs. */
export function createEventsTable(db: Kysely<HubSchema>): (executor: Executor) => EventReads & EventWrites {
  const queries = prepareQueries(db);
  const insertRows = createRowInserts<TaskEventRow>(
    ["task_id", "seq", "kind", "at_ms", "data", "byte_offset", "byte_length"],
    (rows) => db.insertInto("task_events").values(rows),
  );
  return (executor) => ({
    output: async (scope, taskId) => {
      const row = (await queries.output(executor, { task_id: taskId })).rows[0];
      return row && isVisible(scope, row.owner_id as UserId) ? decodeOutput(row) : undefined;
    },
    read: async (scope, taskId, { afterSeq, limit }) => {
      checkCount("afterSeq", afterSeq);
      checkCount("limit", limit, 1);
      if (scope.kind === "user") {
        const owner = (await queries.owner(executor, { task_id: taskId })).rows[0]?.owner_id;
        if (owner === undefined || !isVisible(scope, owner as UserId)) return [];
      }
      const { rows } = await queries.read(executor, { task_id: taskId, after: afterSeq, limit });
      return rows.map(decodeEvent);
    },
    append: async (taskId, events) => {
      const { rows } = await queries.advance(executor, { task_id: taskId, count: events.length });
      const last = rows[0]?.last_seq;
      if (last === undefined) throw unknownTask(taskId);
      const first = last - events.length + 1;
      await insertRows(
        executor,
        events.map((event, index) => ({
          task_id: taskId,
          seq: first + index,
          kind: event.kind,
          at_ms: event.atMs,
          data: event.data === null ? null : toJsonText(event.data),
          byte_offset: event.offset,
          byte_length: event.length,
        })),
      );
      return first;
    },
    setOutput: async (output) => {
      const { numAffectedRows } = await queries.setOutput(executor, encodeOutput(output));
      if (numAffectedRows !== 1n) throw unknownTask(output.taskId);
    },
  });
}

type OutputFields = Omit<TaskOutputRow, "last_seq">;

function prepareQueries(db: Kysely<HubSchema>) {
  return {
    output: prepare((p: Pick<TaskOutputRow, "task_id">) =>
      db
        .selectFrom("task_outputs")
        .innerJoin("tasks", "tasks.task_id", "task_outputs.task_id")
        .selectAll("task_outputs")
        .select("tasks.owner_id")
        .where("task_outputs.task_id", "=", p.task_id),
    ),
    owner: prepare((p: Pick<TaskOutputRow, "task_id">) =>
      db.selectFrom("tasks").select("owner_id").where("task_id", "=", p.task_id),
    ),
    read: prepare((p: { task_id: string; after: number; limit: number }) =>
      db
        .selectFrom("task_events")
        .select(["seq", "kind", "at_ms", "data", "byte_offset", "byte_length"])
        .where("task_id", "=", p.task_id)
        .where("seq", ">", p.after)
        .orderBy("seq")
        .limit(p.limit),
    ),
    advance: prepare((p: { task_id: string; count: number }) =>
      db
        .updateTable("task_outputs")
        .set((set) => ({ last_seq: set("last_seq", "+", p.count) }))
        .where("task_id", "=", p.task_id)
        .returning("last_seq"),
    ),
    setOutput: prepare((p: OutputFields) =>
      db
        .updateTable("task_outputs")
        .set({
          stdout_bytes: p.stdout_bytes,
          stderr_bytes: p.stderr_bytes,
          attempt: p.attempt,
          origin_seq: p.origin_seq,
          has_gap: p.has_gap,
          is_complete: p.is_complete,
        })
        .where("task_id", "=", p.task_id),
    ),
  };
}

function encodeOutput(output: Omit<OutputRecord, "lastSeq">): OutputFields {
  return {
    task_id: output.taskId,
    stdout_bytes: output.stdoutBytes,
    stderr_bytes: output.stderrBytes,
    attempt: output.attempt,
    origin_seq: output.originSeq,
    has_gap: output.hasGap ? 1 : 0,
    is_complete: output.complete ? 1 : 0,
  };
}

function decodeOutput(row: TaskOutputRow): OutputRecord {
  return {
    taskId: row.task_id as TaskId,
    lastSeq: row.last_seq,
    stdoutBytes: row.stdout_bytes,
    stderrBytes: row.stderr_bytes,
    attempt: row.attempt,
    originSeq: row.origin_seq,
    hasGap: row.has_gap === 1,
    complete: row.is_complete === 1,
  };
}

function decodeEvent(row: Omit<TaskEventRow, "task_id">): TaskEvent {
  return {
    seq: row.seq,
    kind: row.kind as TaskEventKind,
    atMs: row.at_ms,
    data: row.data === null ? null : fromJsonText<Json>(row.data),
    offset: row.byte_offset,
    length: row.byte_length,
  };
}
