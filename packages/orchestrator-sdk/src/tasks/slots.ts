/**
 * Which attempts hold a slot of which node. A task holds at most one, from the choice of a node until its end is committed,
 * also while the node is away.
 */
import type { NodeId, TaskId } from "@cortex-mesh/protocol";

/** The slots in use. */
export interface Slots {
  usedBy(nodeId: NodeId): number;
  /** The task holds a slot of this node, and no other; `undefined` gives its slot back. Repeating it changes nothing. */
  hold(taskId: TaskId, nodeId: NodeId | undefined): void;
}

/** Makes the accounts with nothing in use. */
export function createSlots(): Slots {
  const holders = new Map<TaskId, NodeId>();
  const used = new Map<NodeId, number>();
  const add = (nodeId: NodeId, count: number): void => {
    const next = (used.get(nodeId) ?? 0) + count;
    if (next === 0) used.delete(nodeId);
    else used.set(nodeId, next);
  };
  return {
    usedBy: (nodeId) => used.get(nodeId) ?? 0,
    hold(taskId, nodeId) {
      const previous = holders.get(taskId);
      if (previous === nodeId) return;
      if (previous !== undefined) add(previous, -1);
      if (nodeId === undefined) {
        holders.delete(taskId);
        return;
      }
      holders.set(taskId, nodeId);
      add(nodeId, 1);
    },
  };
}
