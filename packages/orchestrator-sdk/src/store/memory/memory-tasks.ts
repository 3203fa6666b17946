/** The operations of a store on tasks, their events and output, the feed, and sessions that own tasks. */
import type { UserId } from "@cortex-mesh/protocol";
import type { TaskRecord } from "../records.js";
import { checkCount, revisionConflict, unknownTask } from "../refusal.js";
import { isVisible } from "../scope.js";
import type { StoreTransaction, TaskFilter } from "../store.js";
import { frozenCopy } from "./frozen-copy.js";
import { memoryOwned, replaces, takePage, visible } from "./memory-records.js";
import type { MemoryView } from "./memory-state.js";

/** Sessions over one view; removing one removes its tasks. */
export function memorySessions(view: MemoryView): StoreTransaction["sessions"] {
  return {
    ...memoryOwned(view.sessions, "session", (session) => session.sessionId),
    remove: async (sessionId) => {
      for (const task of view.tasks.rowsAfter("")) if (task.sessionId === sessionId) removeTask(view, task);
      const isThere = view.sessions.get(sessionId) !== undefined;
      view.sessions.remove(sessionId);
      return isThere;
    },
  };
}

function removeTask(view: MemoryView, task: TaskRecord): void {
  view.tasks.remove(task.taskId);
  view.requests.remove(task.taskId);
  view.outputs.remove(task.taskId);
  view.taskEvents.remove(task.taskId);
  if (task.idempotencyKey !== undefined) view.idempotencyKeys.remove(ownerKey(task.ownerId, task.idempotencyKey));
}

/** Tasks over one view. */
export function memoryTasks(view: MemoryView): StoreTransaction["tasks"] {
  return {
    get: async (scope, taskId) => visible(scope, view.tasks.get(taskId)),
    request: async (scope, taskId) => (visible(scope, view.tasks.get(taskId)) ? view.requests.get(taskId) : undefined),
    byIdempotencyKey: async (ownerId, key) => {
      const taskId = view.idempotencyKeys.get(ownerKey(ownerId, key));
      return taskId === undefined ? undefined : view.tasks.get(taskId);
    },
    list: async (scope, filter, page) =>
      takePage(view.tasks, page, (task) => isVisible(scope, task.ownerId) && passes(filter, task)),
    insert: async (task, request) => {
      const key = task.idempotencyKey === undefined ? undefined : ownerKey(task.ownerId, task.idempotencyKey);
      const isTaken = view.tasks.get(task.taskId) ?? (key === undefined ? undefined : view.idempotencyKeys.get(key));
      if (isTaken !== undefined) throw revisionConflict("task", task.taskId);
      view.tasks.set(task.taskId, frozenCopy(task));
      view.requests.set(task.taskId, frozenCopy(request));
      view.outputs.set(task.taskId, {
        taskId: task.taskId,
        stdoutBytes: 0,
        stderrBytes: 0,
        attempt: 0,
        originSeq: 0,
        hasGap: false,
        complete: false,
      });
      if (key !== undefined) view.idempotencyKeys.set(key, task.taskId);
    },
    update: async (task) => {
      const stored = view.tasks.get(task.taskId);
      if (!replaces(task, stored) || stored?.sessionId !== task.sessionId) throw revisionConflict("task", task.taskId);
      view.tasks.set(task.taskId, frozenCopy(task));
    },
  };
}

function passes(filter: TaskFilter, task: TaskRecord): boolean {
  return (
    (filter.sessionId === undefined || task.sessionId === filter.sessionId) &&
    (filter.nodeId === undefined || task.nodeId === filter.nodeId) &&
    (filter.states === undefined || filter.states.includes(task.state))
  );
}

/** Task events and outputs over one view. */
export function memoryEvents(view: MemoryView): StoreTransaction["events"] {
  return {
    output: async (scope, taskId) => {
      const output = visible(scope, view.tasks.get(taskId)) && view.outputs.get(taskId);
      return output && Object.freeze({ ...output, lastSeq: view.taskEvents.range(taskId).lastSeq });
    },
    read: async (scope, taskId, { afterSeq, limit }) => {
      checkCount("afterSeq", afterSeq);
      checkCount("limit", limit, 1);
      return visible(scope, view.tasks.get(taskId)) ? view.taskEvents.read(taskId, afterSeq, limit) : [];
    },
    append: async (taskId, events) => {
      if (!view.outputs.get(taskId)) throw unknownTask(taskId);
      const copies = frozenCopy(events);
      return view.taskEvents.append(taskId, copies.length, (seq, index) => numbered(copies, seq, index));
    },
    setOutput: async (output) => {
      if (!view.outputs.get(output.taskId)) throw unknownTask(output.taskId);
      view.outputs.set(output.taskId, frozenCopy(output));
    },
  };
}

/** The feed over one view. */
export function memoryFeed(view: MemoryView): StoreTransaction["feed"] {
  return {
    read: async (userId, { afterSeq, limit }) => {
      checkCount("afterSeq", afterSeq);
      checkCount("limit", limit, 1);
      return view.feed.read(userId, afterSeq, limit);
    },
    range: async (userId) => view.feed.range(userId),
    append: async (userId, events) => {
      const copies = frozenCopy(events);
      return view.feed.append(userId, copies.length, (seq, index) => numbered(copies, seq, index));
    },
    prune: async (userId, keep) => {
      checkCount("keep", keep);
      const { firstSeq, lastSeq } = view.feed.range(userId);
      if (lastSeq - keep + 1 > firstSeq) view.feed.dropBelow(userId, lastSeq - keep + 1);
    },
  };
}

function numbered<E extends object>(events: readonly E[], seq: number, index: number): E & { readonly seq: number } {
  return Object.freeze({ seq, ...(events[index] as E) });
}

function ownerKey(ownerId: UserId, key: string): string {
  return JSON.stringify([ownerId, key]);
}
