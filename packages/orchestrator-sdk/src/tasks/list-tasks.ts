/** Every task of a filter, however many there are: pages behind one loop. */
import { systemScope } from "../access/scope.js";
import type { TaskRecord, TaskState } from "../store/records.js";
import type { Scope } from "../store/scope.js";
import type { HubStore, TaskFilter } from "../store/store.js";

/** States in which a node has, or may have, an attempt. */
export const ATTEMPT_STATES: readonly TaskState[] = ["leased", "running"];
const PAGE = 1000;

/** Gives the tasks in id order. One that changes meanwhile comes as it was when its page was read. */
export async function* listTasks(
  store: HubStore,
  filter: TaskFilter,
  scope: Scope = systemScope,
): AsyncIterable<TaskRecord> {
  let after: string | undefined;
  for (;;) {
    const page = await store.tasks.list(scope, filter, { after, limit: PAGE });
    yield* page;
    after = page.at(-1)?.taskId;
    if (page.length < PAGE) return;
  }
}

/** The same as a list, for those who need all at once. */
export async function listAllTasks(
  store: HubStore,
  filter: TaskFilter,
  scope: Scope = systemScope,
): Promise<TaskRecord[]> {
  const tasks: TaskRecord[] = [];
  for await (const task of listTasks(store, filter, scope)) tasks.push(task);
  return tasks;
}

/** Every task that has not ended, in order. */
export function listUnfinished(store: HubStore): AsyncIterable<TaskRecord> {
  return listTasks(store, { states: ["queued", ...ATTEMPT_STATES] });
}
