/**
 * Writes what the task machine decided: the task, its event, its owner's feed, in one transaction; readers are woken after
 * the commit, never before.
 */
import type { Clock, TaskId } from "@cortex-mesh/protocol";
import { CortexError } from "@cortex-mesh/protocol";
import { systemScope } from "../access/scope.js";
import { appendFeed } from "../feed/feed-service.js";
import type { JsonObject, TaskRecord } from "../store/records.js";
import type { HubStore, StoreTransaction } from "../store/store.js";
import type { Wake } from "../wake/wake.js";
import { isFinal, type TaskInputEvent, type Transition, transition } from "./machine.js";

/** Called after a change of a task was committed. */
export type TaskCommitListener = (before: TaskRecord | undefined, after: TaskRecord) => void;

/** What every writer of tasks needs. */
export interface TaskWriter {
  /** Applies one event to the stored task. Resolves after the commit; `undefined` when there is no such task. */
  apply(
    taskId: TaskId,
    event: TaskInputEvent,
    extra?: ApplyExtra,
  ): Promise<{ readonly task: TaskRecord; readonly outcome: Transition } | undefined>;
  /** Records a task that was just inserted in `tx`: its first event and the feed. */
  recordCreated(tx: StoreTransaction, task: TaskRecord): Promise<void>;
  /** Tells everybody about a committed change. */
  announce(before: TaskRecord | undefined, after: TaskRecord): void;
  /** Adds a listener for committed changes; it must not throw. */
  onCommit(listener: TaskCommitListener): void;
  /** Tells everybody that tasks were deleted; `tasks` is what they were. */
  forget(tasks: readonly TaskRecord[]): void;
  /** Adds a listener for deleted tasks; it must not throw. */
  onForget(listener: (task: TaskRecord) => void): void;
}

/** Conditions and additions of one write. */
export interface ApplyExtra {
  /** Throws, or does more, inside the transaction before the event is applied. */
  readonly check?: (task: TaskRecord, tx: StoreTransaction) => Promise<void>;
  /** Runs inside the transaction when the task changed. */
  readonly also?: (task: TaskRecord, tx: StoreTransaction) => Promise<void>;
}

/** Makes the one place that writes tasks. */
export function createTaskWriter(options: {
  readonly store: HubStore;
  readonly wake: Wake;
  readonly clock: Clock;
}): TaskWriter {
  const { store, wake, clock } = options;
  const listeners: TaskCommitListener[] = [];
  const forgetters: ((task: TaskRecord) => void)[] = [];
  const writer: TaskWriter = {
    async apply(taskId, event, extra = {}) {
      const written = await store.transaction(async (tx) => {
        const before = await tx.tasks.get(systemScope, taskId);
        if (before === undefined) return undefined;
        await extra.check?.(before, tx);
        const outcome = transition(before, event, clock.nowMs());
        if (outcome.kind !== "changed") return { before, task: before, outcome };
        await tx.tasks.update(outcome.task);
        await extra.also?.(outcome.task, tx);
        if (endsOutput(before, outcome.task)) await completeOutput(tx, taskId);
        await record(tx, outcome.task, clock.nowMs());
        return { before, task: outcome.task, outcome };
      });
      if (written?.outcome.kind === "changed") writer.announce(written.before, written.task);
      return written;
    },
    recordCreated: (tx, task) => record(tx, task, task.createdAtMs),
    announce(before, after) {
      for (const listener of listeners) listener(before, after);
      wake.wake(`task:${after.taskId}`, `user:${after.ownerId}`);
      if (after.nodeId !== undefined) wake.wake(`node:${after.nodeId}`);
      if (after.state === "queued" || (before !== undefined && !isFinal(before.state) && isFinal(after.state)))
        wake.wake("place");
    },
    onCommit: (listener) => void listeners.push(listener),
    forget(tasks) {
      for (const task of tasks) {
        for (const listener of forgetters) listener(task);
        wake.wake(`task:${task.taskId}`);
      }
      if (tasks.length > 0) wake.wake("place");
    },
    onForget: (listener) => void forgetters.push(listener),
  };
  return writer;
}

/** Whether nothing more can come: it ended without a report of a node, which would say so itself. */
function endsOutput(before: TaskRecord, after: TaskRecord): boolean {
  return (
    isFinal(after.state) && after.state !== "indeterminate" && (before.state === "queued" || before.state === "leased")
  );
}

async function completeOutput(tx: StoreTransaction, taskId: TaskId): Promise<void> {
  const output = await tx.events.output(systemScope, taskId);
  if (output === undefined || output.complete || output.hasGap) return;
  await tx.events.setOutput({ ...output, complete: true });
}

async function record(tx: StoreTransaction, task: TaskRecord, atMs: number): Promise<void> {
  const data = stateEvent(task);
  await tx.events.append(task.taskId, [{ kind: "state", atMs, data, offset: 0, length: 0 }]);
  const feedData = { taskId: task.taskId, sessionId: task.sessionId, nodeId: task.nodeId ?? null, ...data };
  await appendFeed(tx, task.ownerId, [{ kind: `task.${task.state}`, atMs, data: feedData }]);
}

/** What a `state` event says. */
export function stateEvent(task: TaskRecord): JsonObject {
  return {
    state: task.state,
    attempt: task.attempt,
    revision: task.revision,
    disconnected: task.disconnected,
    cancelling: task.cancelling,
    stalled: task.stalled,
    nodeId: task.nodeId ?? null,
    ...(isFinal(task.state)
      ? {
          result: { exitCode: task.exitCode, signal: task.signal, value: task.value },
          error: task.error ?? null,
          cause: task.cause ?? null,
        }
      : {}),
  };
}

/** Throws `NOT_FOUND` for a task that is not there or not the caller's. */
export function assertTask<T>(value: T | undefined, taskId: string): T {
  if (value === undefined) throw new CortexError("NOT_FOUND", `there is no task ${taskId}`);
  return value;
}
