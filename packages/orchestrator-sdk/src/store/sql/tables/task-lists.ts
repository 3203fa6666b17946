/**
 * Lists of tasks: every combination of scope, session, node and states, each compiled once.
 *
 * Lists of live states alone use indexes that hold only live tasks, so that a hub's own lists cost what is going on,
 * not what ever was.
 */
import { type Kysely, sql } from "kysely";
import type { TaskState } from "../../records.js";
import type { Scope } from "../../scope.js";
import type { PageRequest, TaskFilter } from "../../store.js";
import type { Executor } from "../executor.js";
import { prepareShapes } from "../prepared.js";
import type { HubSchema, TaskRow } from "../schema.js";

const LIVE_STATES: ReadonlySet<TaskState> = new Set<TaskState>(["queued", "leased", "running"]);

/** Whether a task in this state has not ended. */
export function isLiveState(state: TaskState): boolean {
  return LIVE_STATES.has(state);
}

/** One question to the list. */
export interface TaskListQuery {
  readonly scope: Scope;
  readonly filter: TaskFilter;
  readonly page: PageRequest;
}

/** What decides the text of the query; everything else is a value. At most 2 × 2 × 2 × 2 × 10 of them. */
interface Shape {
  readonly byOwner: boolean;
  readonly bySession: boolean;
  readonly byNode: boolean;
  readonly onlyLive: boolean;
  readonly stateCount: number;
}

interface Values {
  readonly after: string;
  readonly owner: string;
  readonly session: string;
  readonly node: string;
  readonly limit: number;
  readonly [state: StateName]: string;
}

type StateName = `state${number}`;

/** Prepares the lists; the result runs one. */
export function createTaskLists(
  db: Kysely<HubSchema>,
): (executor: Executor, query: TaskListQuery) => Promise<Pick<TaskRow, "doc">[]> {
  const shapes = prepareShapes(
    (shape: Shape) => `${shape.byOwner} ${shape.bySession} ${shape.byNode} ${shape.onlyLive} ${shape.stateCount}`,
    (shape, p: Values) => build(db, shape, p),
  );
  return async (executor, { scope, filter, page }) => {
    const states = filter.states && [...new Set(filter.states)];
    if (states?.length === 0) return [];
    const shape: Shape = {
      byOwner: scope.kind === "user",
      bySession: filter.sessionId !== undefined,
      byNode: filter.nodeId !== undefined,
      onlyLive: states?.every(isLiveState) ?? false,
      stateCount: states?.length ?? 0,
    };
    const values: Values = {
      after: page.after ?? "",
      limit: page.limit,
      owner: scope.kind === "user" ? scope.userId : "",
      session: filter.sessionId ?? "",
      node: filter.nodeId ?? "",
      ...Object.fromEntries((states ?? []).map((state, index) => [stateName(index), state])),
    };
    return (await shapes(shape)(executor, values)).rows;
  };
}

function build(db: Kysely<HubSchema>, shape: Shape, p: Values) {
  let query = db.selectFrom("tasks").select("doc").where("task_id", ">", p.after);
  if (shape.byOwner) query = query.where("owner_id", "=", p.owner);
  if (shape.bySession) query = query.where("session_id", "=", p.session);
  if (shape.byNode) query = query.where("node_id", "=", p.node);
  // A literal, not a parameter: a planner uses a partial index only when it can see that the condition holds.
  if (shape.onlyLive) query = query.where("is_live", "=", sql.lit(1));
  if (shape.stateCount > 0) {
    const states = Array.from({ length: shape.stateCount }, (_, index) => p[stateName(index)] ?? "");
    query = query.where("state", "in", states);
  }
  return query.orderBy("task_id").limit(p.limit);
}

function stateName(index: number): StateName {
  return `state${index}`;
}
