/** What goes with a deleted session besides its rows: slots, timers and input of its tasks, their readers, their output files. */
import type { TaskId } from "@cortex-mesh/protocol";
import type { SessionService } from "../sessions/session-service.js";
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
  return {
    ...sessions,
    async remove(caller, sessionId) {
      const tasks = await listAllTasks(store, { sessionId }, caller.scope);
      await sessions.remove(caller, sessionId);
      writer.forget(tasks);
      for (const { taskId } of tasks) await removeFiles(options, taskId);
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
