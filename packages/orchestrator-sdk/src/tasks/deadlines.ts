/**
 * The hub's own clocks on tasks: how long one may wait in the queue, and how long a silent node may keep one.
 *
 * Timers are monotonic and start anew with the hub, so that an outage of the hub is never held against a node. The
 * write decides: a timer only proposes an event, a task that moved on refuses it, and one whose node came back in the same
 * moment is left alone.
 */
import { type Clock, CortexError, type TaskId, type Timer } from "@cortex-mesh/protocol";
import type { TaskRecord } from "../store/records.js";
import type { TaskWriter } from "./commit.js";
import { isFinal, type TaskInputEvent } from "./machine.js";

/** After this silence an `idempotent` task is given to another node. */
export const DEFAULT_LOST_AFTER_MS = 30_000;
/** After this silence a `once` task is settled as indeterminate. */
export const DEFAULT_RECONNECT_WINDOW_MS = 15 * 60_000;
/** Time until a deadline whose write failed is tried again. */
export const DEADLINE_AGAIN_AFTER_MS = 1_000;

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
  const { writer } = options;
  const queued = createTimers(options);
  const silent = createTimers(options);
  /** Of tasks that have one and did not end; a task that comes back to the queue waits that long again. */
  const queueTimeouts = new Map<TaskId, number>();

  const forget = (taskId: TaskId): void => {
    queueTimeouts.delete(taskId);
    queued.stop(taskId);
    silent.stop(taskId);
  };
  const follow = (task: TaskRecord): void => {
    if (isFinal(task.state)) return forget(task.taskId);
    const queueTimeoutMs = queueTimeouts.get(task.taskId);
    if (task.state !== "queued") queued.stop(task.taskId);
    else if (queueTimeoutMs !== undefined)
      queued.arm(task.taskId, { afterMs: queueTimeoutMs, event: { type: "queueTimeout" } });
    if (task.disconnected) silent.arm(task.taskId, silenceOf(task, options));
    else silent.stop(task.taskId);
  };
  writer.onCommit((_before, after) => follow(after));
  writer.onForget(({ taskId }) => forget(taskId));
  return {
    watch(task, queueTimeoutMs) {
      if (queueTimeoutMs !== undefined && !isFinal(task.state)) queueTimeouts.set(task.taskId, queueTimeoutMs);
      follow(task);
    },
    close() {
      queued.close();
      silent.close();
    },
  };
}

interface Due {
  readonly afterMs: number;
  readonly event: TaskInputEvent;
  /** Whether the deadline still holds, seen with the stored task. @default always */
  readonly isDue?: (task: TaskRecord) => boolean;
}

function silenceOf(task: TaskRecord, { lostAfterMs, reconnectWindowMs }: DeadlineOptions): Due {
  const borneMs =
    task.effect === "idempotent"
      ? (lostAfterMs ?? DEFAULT_LOST_AFTER_MS)
      : (reconnectWindowMs ?? DEFAULT_RECONNECT_WINDOW_MS);
  const { attempt, disconnectedAtMs } = task;
  return {
    afterMs: borneMs,
    event: { type: "lose", attempt, note: `the node was silent for ${borneMs / 1000} s` },
    isDue: (stored) => stored.disconnected && stored.disconnectedAtMs === disconnectedAtMs,
  };
}

interface Timers {
  /** Starts the task's timer, unless it runs already. */
  arm(taskId: TaskId, due: Due): void;
  stop(taskId: TaskId): void;
  close(): void;
}

/** Thrown inside a transaction to leave it without a change. */
class NotDue extends CortexError {}

function createTimers(options: {
  readonly writer: TaskWriter;
  readonly clock: Clock;
  readonly onError: (error: unknown) => void;
}): Timers {
  const { writer, clock, onError } = options;
  const timers = new Map<TaskId, Timer>();
  let isClosed = false;
  const arm = (taskId: TaskId, due: Due): void => {
    if (isClosed || timers.has(taskId)) return;
    timers.set(
      taskId,
      clock.setTimer(() => fire(taskId, due), due.afterMs),
    );
  };
  const fire = (taskId: TaskId, due: Due): void => {
    timers.delete(taskId);
    const check = (task: TaskRecord): Promise<void> => {
      if (due.isDue === undefined || due.isDue(task)) return Promise.resolve();
      return Promise.reject(new NotDue("SUPERSEDED", "the deadline does not hold any more"));
    };
    writer.apply(taskId, due.event, { check }).catch((error: unknown) => {
      if (error instanceof NotDue) return;
      onError(error);
      arm(taskId, { ...due, afterMs: DEADLINE_AGAIN_AFTER_MS });
    });
  };
  return {
    arm,
    stop(taskId) {
      timers.get(taskId)?.cancel();
      timers.delete(taskId);
    },
    close() {
      isClosed = true;
      for (const timer of timers.values()) timer.cancel();
      timers.clear();
    },
  };
}
