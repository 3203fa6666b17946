/** What goes with a deleted session besides its rows: slots, timers and input of its tasks, their readers, their output files. */
import type { SessionId, TaskId } from "@cortex-mesh/protocol";
import type { SessionService } from "../sessions/session-service.js";
import type { TaskRecord } from "../store/records.js";
import type { HubStore } from "../store/store.js";
import type { TaskWriter } from "./commit.js";
import { listAllTasks } from "./list-tasks.js";
import type { OutputFiles } from "./output-files.js";

/** What forgetting needs. */
export interface TaskRemovalOptions {
  readonly store: HubStore;
  readonly writer: TaskWriter;
  readonly files: OutputFiles;
  /** Files that could not be deleted; nothing refers to them any more. */
  readonly onError: (error: unknown) => void;
}

/** The same service, whose `remove` also lets go of what the hub holds for the session's tasks. */
export function withTaskRemoval(sessions: SessionService, options: TaskRemovalOptions): SessionService {
  const { store, writer } = options;
  /** Tasks of sessions that are being deleted, as they are now: also one that was accepted in the last moment. */
  const going = new Map<SessionId, Map<TaskId, TaskRecord>>();
  writer.onCommit((_before, after) => void going.get(after.sessionId)?.set(after.taskId, after));
  return {
    ...sessions,
    async remove(caller, sessionId) {
      const tasks = going.get(sessionId) ?? new Map<TaskId, TaskRecord>();
      going.set(sessionId, tasks);
      try {
        for (const task of await listAllTasks(store, { sessionId }, caller.scope)) {
          if (!tasks.has(task.taskId)) tasks.set(task.taskId, task);
        }
        await sessions.remove(caller, sessionId);
      } finally {
        if (going.get(sessionId) === tasks) going.delete(sessionId);
      }
      writer.forget([...tasks.values()]);
      for (const taskId of tasks.keys()) await removeFiles(options, taskId);
    },
  };
}

async function removeFiles({ files, onError }: TaskRemovalOptions, taskId: TaskId): Promise<void> {
  try {
    await files.remove(taskId);
  } catch (error) {
    onError(error);
  }
}
