/**
 * The hub's own clocks on tasks: how long one may wait in the queue, and how long a silent node may keep one.
 *
 * Timers are monotonic and start anew with the hub, so that an outage of the hub is never held against a node. The
 * write decides: a timer only proposes an event, and a task that moved on refuses it.
 */
import type { Clock, TaskId, Timer } from "@cortex-mesh/protocol";
import type { TaskRecord } from "../store/records.js";
import type { TaskWriter } from "./commit.js";
import { isFinal, type TaskInputEvent } from "./machine.js";

/** After this silence an `idempotent` task is given to another node. */
export const DEFAULT_LOST_AFTER_MS = 30_000;
/** After this silence a `once` task is settled as indeterminate. */
export const DEFAULT_RECONNECT_WINDOW_MS = 15 * 60_000;

/** How long silence is borne. */
export interface DeadlineOptions {
  readonly lostAfterMs?: number | undefined;
  readonly reconnectWindowMs?: number | undefined;
}

/** Watches the deadlines of tasks. */
export interface Deadlines {
  /** Starts the timers of a task that was loaded from the store. */
  watch(task: TaskRecord, queueTimeoutMs: number | undefined): void;
  close(): void;
}

/** Makes the deadlines of a hub; it follows every commit of `writer`. */
export function createDeadlines(
  options: DeadlineOptions & {
    readonly writer: TaskWriter;
    readonly clock: Clock;
    readonly onError: (error: unknown) => void;
  },
): Deadlines {
  const { writer, clock } = options;
  const queueTimers = new Map<TaskId, Timer>();
  const silenceTimers = new Map<TaskId, Timer>();

  const stop = (timers: Map<TaskId, Timer>, taskId: TaskId): void => {
    timers.get(taskId)?.cancel();
    timers.delete(taskId);
  };
  const arm = (timers: Map<TaskId, Timer>, task: TaskRecord, due: { readonly afterMs: number; readonly event: TaskInputEvent }): void => {
    stop(timers, task.taskId);
    const fire = (): void => {
      timers.delete(task.taskId);
      writer.apply(task.taskId, due.event).catch(options.onError);
    };
    timers.set(task.taskId, clock.setTimer(fire, due.afterMs));
  };
  const follow = (task: TaskRecord): void => {
    if (task.state !== "queued") stop(queueTimers, task.taskId);
    if (!task.disconnected || isFinal(task.state)) stop(silenceTimers, task.taskId);
    else if (!silenceTimers.has(task.taskId)) {
      const isIdempotent = task.effect === "idempotent";
      const afterMs = isIdempotent
        ? (options.lostAfterMs ?? DEFAULT_LOST_AFTER_MS)
        : (options.reconnectWindowMs ?? DEFAULT_RECONNECT_WINDOW_MS);
      const event = { type: "lose", attempt: task.attempt, note: `the node was silent for ${afterMs / 1000} s` } as const;
      arm(silenceTimers, task, { afterMs, event });
    }
  };
  writer.onCommit((_before, after) => follow(after));
  return {
    watch(task, queueTimeoutMs) {
      if (task.state === "queued" && queueTimeoutMs !== undefined) {
        arm(queueTimers, task, { afterMs: queueTimeoutMs, event: { type: "queueTimeout" } });
      }
      follow(task);
    },
    close() {
      for (const timers of [queueTimers, silenceTimers]) {
        for (const timer of timers.values()) timer.cancel();
        timers.clear();
      }
    },
  };
}
