/** One timer a task, each proposing an event when it fires; the write decides whether the event still holds. */
import { type Clock, CortexError, type TaskId, type Timer } from "@cortex-mesh/protocol";
import type { TaskRecord } from "../store/records.js";
import type { TaskWriter } from "./commit.js";
import type { TaskInputEvent } from "./machine.js";

/** Time until a deadline whose write failed is tried again. */
export const DEADLINE_AGAIN_AFTER_MS = 1_000;

/** What is proposed, and when. */
export interface Due {
  readonly afterMs: number;
  readonly event: TaskInputEvent;
  /** Whether the deadline still holds, seen with the stored task. @default always */
  readonly isDue?: (task: TaskRecord) => boolean;
}

/** The timers of one kind of deadline. */
export interface TaskTimers {
  /** Starts the task's timer, unless it runs already. */
  arm(taskId: TaskId, due: Due): void;
  stop(taskId: TaskId): void;
  close(): void;
}

/** What timers work with. */
export interface TaskTimersOptions {
  readonly writer: TaskWriter;
  readonly clock: Clock;
  readonly onError: (error: unknown) => void;
  /** Whether a deadline that fires now proposes nothing; who says so arms it anew. @default never */
  readonly isHeld?: (() => boolean) | undefined;
}

/** Thrown inside a transaction to leave it without a change. */
class NotDue extends CortexError {}

/** Makes the timers of one kind of deadline. */
export function createTaskTimers(options: TaskTimersOptions): TaskTimers {
  const { writer, clock, onError, isHeld } = options;
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
    if (isHeld?.() === true) return;
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
