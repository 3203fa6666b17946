/**
 * Keeps a task from bouncing: a node that did not keep it is not asked again at once, and each time later. Pure.
 *
 * A pause belongs to one task, one node and one connection of that node: other nodes are asked at once, and a node that
 * reconnects is asked as if it had never declined. Times are monotonic milliseconds, passed in.
 */
import type { NodeId, TaskId } from "@cortex-mesh/protocol";

/** Pause after the first time. */
export const FIRST_BOUNCE_PAUSE_MS = 200;
/** The pause doubles each time up to this: a node that has room again is found within it. */
export const MAX_BOUNCE_PAUSE_MS = 10_000;

/** A task that was offered to a node over one connection. */
export interface BouncedOffer {
  readonly taskId: TaskId;
  readonly nodeId: NodeId;
  /** Epoch of the connection. */
  readonly epoch: number;
}

/** A pause that is going on. */
export interface BouncePause {
  /** How often in a row the node did not keep the task. */
  readonly count: number;
  readonly leftMs: number;
}

/** The pauses of a hub: at most one for each waiting task and node. */
export interface BouncePauses {
  /** The node declined the task for now, or could not be given it. */
  bounced(offer: BouncedOffer, nowMs: number): void;
  /** The pause that keeps the node from being asked, if there is one. */
  find(offer: BouncedOffer, nowMs: number): BouncePause | undefined;
  /** Time until the next pause ends; `undefined` when none is going on. */
  nextEndMs(nowMs: number): number | undefined;
  /** The task runs or is over. */
  forget(taskId: TaskId): void;
}

/** How long a node is left alone after it did not keep a task `count` times in a row. */
export function bouncePauseMs(count: number): number {
  return Math.min(FIRST_BOUNCE_PAUSE_MS * 2 ** (count - 1), MAX_BOUNCE_PAUSE_MS);
}

interface Entry {
  readonly epoch: number;
  readonly count: number;
  readonly untilMs: number;
}

/** Makes an empty set of pauses. */
export function createBouncePauses(): BouncePauses {
  const byTask = new Map<TaskId, Map<NodeId, Entry>>();
  const entryOf = ({ taskId, nodeId, epoch }: BouncedOffer): Entry | undefined => {
    const entry = byTask.get(taskId)?.get(nodeId);
    return entry?.epoch === epoch ? entry : undefined;
  };
  return {
    bounced(offer, nowMs) {
      const count = (entryOf(offer)?.count ?? 0) + 1;
      const ofTask = byTask.get(offer.taskId) ?? new Map<NodeId, Entry>();
      ofTask.set(offer.nodeId, { epoch: offer.epoch, count, untilMs: nowMs + bouncePauseMs(count) });
      byTask.set(offer.taskId, ofTask);
    },
    find(offer, nowMs) {
      const entry = entryOf(offer);
      if (entry === undefined || entry.untilMs <= nowMs) return undefined;
      return { count: entry.count, leftMs: entry.untilMs - nowMs };
    },
    nextEndMs(nowMs) {
      let nextMs: number | undefined;
      for (const ofTask of byTask.values()) {
        for (const { untilMs } of ofTask.values()) {
          if (untilMs > nowMs && (nextMs === undefined || untilMs < nextMs)) nextMs = untilMs;
        }
      }
      return nextMs === undefined ? undefined : nextMs - nowMs;
    },
    forget: (taskId) => void byTask.delete(taskId),
  };
}
