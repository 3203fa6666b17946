/** The tasks that wait for a node, in order of submission: also one that comes back to the queue has its old place. */
import type { SessionId, TaskId } from "@cortex-mesh/protocol";
import type { TaskRecord } from "../store/records.js";
import type { PlacementNeeds } from "./eligibility.js";

/** One task that waits. */
export interface WaitingTask {
  readonly taskId: TaskId;
  readonly sessionId: SessionId;
  readonly createdAtMs: number;
  /** Read when it is first offered. */
  needs?: PlacementNeeds | undefined;
}

/** The queue. */
export interface WaitingTasks {
  add(task: TaskRecord): void;
  remove(taskId: TaskId): void;
  has(taskId: TaskId): boolean;
  /** What waits now, oldest first. */
  inOrder(): readonly WaitingTask[];
  readonly count: number;
}

/** Makes an empty queue. */
export function createWaitingTasks(): WaitingTasks {
  let entries = new Map<TaskId, WaitingTask>();
  let newestMs = 0;
  let isSorted = true;
  return {
    add({ taskId, sessionId, createdAtMs }) {
      if (entries.has(taskId)) return;
      // Only what comes back is out of place.
      if (createdAtMs < newestMs) isSorted = false;
      else newestMs = createdAtMs;
      entries.set(taskId, { taskId, sessionId, createdAtMs });
    },
    remove: (taskId) => void entries.delete(taskId),
    has: (taskId) => entries.has(taskId),
    inOrder() {
      // The sort is stable: tasks of one millisecond stay in the order in which they came.
      if (!isSorted)
        entries = new Map([...entries].sort(([, left], [, right]) => left.createdAtMs - right.createdAtMs));
      isSorted = true;
      return [...entries.values()];
    },
    get count() {
      return entries.size;
    },
  };
}
