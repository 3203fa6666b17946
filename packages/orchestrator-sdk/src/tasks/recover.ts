/**
 * What to do with the attempts of a node that says hello: compares what the hub has leased to it with what it holds. Pure.
 *
 * A node names everything it holds durably. What it does not name it never started and never will (its hello is preceded by
 * tombstones for everything it had stored), which is the only thing that lets a `once` task go back to the queue.
 */
import type { TaskId } from "@cortex-mesh/protocol";
import type { TaskRecord } from "../store/records.js";
import type { TaskInputEvent } from "./machine.js";

/** What a node says of an attempt that it holds. */
export interface Held {
  readonly taskId: TaskId;
  readonly attempt: number;
  readonly state: "stored" | "running" | "finished" | "neverStarted";
}

/** What follows from a hello. */
export interface Reconciliation {
  /** Changes to tasks, to be committed before the node is ready. */
  readonly changes: readonly { readonly taskId: TaskId; readonly event: TaskInputEvent }[];
  /** Attempts that the node is to end and drop. */
  readonly unwanted: readonly Held[];
}

/** Compares the unfinished tasks leased to a node with the attempts that it holds. */
export function reconcile(leased: readonly TaskRecord[], held: readonly Held[], epoch: number): Reconciliation {
  const changes: { taskId: TaskId; event: TaskInputEvent }[] = [];
  const unwanted: Held[] = [];
  const heldByTask = new Map<TaskId, Held>();
  for (const item of held) {
    const present = heldByTask.get(item.taskId);
    if (present === undefined || present.attempt < item.attempt) heldByTask.set(item.taskId, item);
  }
  const wanted = new Set<Held>();
  for (const task of leased) {
    const item = heldByTask.get(task.taskId);
    const match = item?.attempt === task.attempt ? item : undefined;
    if (match !== undefined) wanted.add(match);
    const event = judgeAttempt(task, match, epoch);
    changes.push({ taskId: task.taskId, event });
  }
  for (const item of held) {
    // A finished attempt sends its result, which is answered on its own; a tombstone needs no order.
    if (!wanted.has(item) && (item.state === "stored" || item.state === "running")) unwanted.push(item);
  }
  return { changes, unwanted };
}

function judgeAttempt(task: TaskRecord, held: Held | undefined, epoch: number): TaskInputEvent {
  const { attempt } = task;
  switch (held?.state) {
    case "stored":
      return { type: "adopt", attempt, epoch, isRunning: false };
    case "running":
    case "finished":
      return { type: "adopt", attempt, epoch, isRunning: true };
    case "neverStarted":
    case undefined:
      if (task.state === "leased")
        return { type: "notStarted", attempt, refusal: undefined, note: "the node never started it" };
      return { type: "lose", attempt, note: "the node came back without the attempt" };
  }
}
