/**
 * Sends a node what the tables say it should get: a grant for each attempt that is leased to this connection, a cancel for
 * each that is to end. It is told which task changed and decides from the committed record, never from the request.
 *
 * Each grant is signed when it is sent, so that it names this connection's nonce and epoch, and is sent once a connection:
 * what a broken connection may have lost is settled by the next hello.
 */
import { CortexError, isCortexError, type TaskId } from "@cortex-mesh/protocol";
import { systemScope } from "../access/scope.js";
import type { TaskRecord } from "../store/records.js";
import type { HubStore } from "../store/store.js";
import type { TaskWriter } from "../tasks/commit.js";
import { isFinal } from "../tasks/machine.js";
import { createGrantMaker, type GrantOptions } from "./grants.js";
import type { HubConnection } from "./hub-connection.js";

/** What signing and sending need. */
export interface OutgoingOptions extends GrantOptions {
  readonly store: HubStore;
  readonly writer: TaskWriter;
  readonly onError: (error: unknown) => void;
}

/** Sends to one connection. */
export interface Outgoing {
  /** The node holds this attempt already: its grant is not sent again. */
  markHeld(taskId: TaskId, attempt: number): void;
  /** A task changed; send what follows from it. */
  note(task: TaskRecord): void;
}

/** What went out for a task on this connection. */
interface Sent {
  readonly attempt: number;
  isCancelSent: boolean;
}

/** Makes the sender of one connection. */
export function createOutgoing(connection: HubConnection, options: OutgoingOptions): Outgoing {
  const { store, writer } = options;
  const grants = createGrantMaker(connection, options);
  /** Highest attempt of each task that went out on this connection, and whether its cancel did. */
  const sent = new Map<TaskId, Sent>();
  const isMine = (task: TaskRecord): boolean =>
    !isFinal(task.state) && task.nodeId === connection.nodeId && task.epoch === connection.epoch;

  const dispatch = async (noted: TaskRecord): Promise<void> => {
    const { taskId, attempt } = noted;
    const request = await store.tasks.request(systemScope, taskId);
    const session = await store.sessions.get(systemScope, noted.sessionId);
    // Read last: what was noted may be over by now.
    const task = await store.tasks.get(systemScope, taskId);
    const isDue = task?.attempt === attempt && task.state === "leased" && isMine(task);
    if (request === undefined || !isDue) return;
    try {
      connection.send({ case: "grant", value: grants.task(task, request, session) });
    } catch (error) {
      if (!isCortexError(error) || error.code !== "TOO_LARGE") throw error;
      // It did not leave and never will, at no node.
      const refusal = { code: error.code, message: `the dispatch does not fit into a message: ${error.message}` };
      await writer.apply(taskId, { type: "notStarted", attempt, refusal, note: "the dispatch is too large" });
    }
  };
  const handle = async (task: TaskRecord): Promise<void> => {
    if (!isMine(task)) {
      sent.delete(task.taskId);
      return;
    }
    let entry = sent.get(task.taskId);
    if (entry?.attempt !== task.attempt) {
      entry = { attempt: task.attempt, isCancelSent: false };
      sent.set(task.taskId, entry);
      if (task.state === "leased") await dispatch(task);
    }
    if (task.cancelling && !entry.isCancelSent) {
      entry.isCancelSent = true;
      connection.send({ case: "grant", value: grants.cancel(task) });
    }
  };
  return {
    markHeld(taskId, attempt) {
      const isNewer = attempt > (sent.get(taskId)?.attempt ?? 0);
      if (isNewer) sent.set(taskId, { attempt, isCancelSent: false });
    },
    note: createQueue({
      handle,
      drained: () => connection.drained(),
      isOver: () => connection.isClosed,
      onError(error) {
        options.onError(error);
        // What should have left did not: the node's next hello settles what it has and what it lacks.
        connection.close(
          new CortexError("UNAVAILABLE", "the hub could not send what the node should get", { cause: error }),
        );
      },
    }),
  };
}

/** Handles the newest state of each task that was noted, one after the other, as fast as the connection takes it. */
function createQueue(options: {
  readonly handle: (task: TaskRecord) => Promise<void>;
  readonly drained: () => Promise<void>;
  readonly isOver: () => boolean;
  readonly onError: (error: unknown) => void;
}): (task: TaskRecord) => void {
  const { handle, drained, isOver, onError } = options;
  const queue = new Map<TaskId, TaskRecord>();
  let isWorking = false;
  const work = async (): Promise<void> => {
    try {
      for (const [taskId, task] of queue) {
        if (isOver()) return queue.clear();
        queue.delete(taskId);
        await handle(task);
        await drained();
      }
    } catch (error) {
      queue.clear();
      onError(error);
    } finally {
      // In the same turn as the last look at the queue, so that nothing that is noted waits for the next note.
      isWorking = false;
    }
  };
  return (task) => {
    if (isOver()) return;
    queue.set(task.taskId, task);
    if (isWorking) return;
    isWorking = true;
    void work();
  };
}
