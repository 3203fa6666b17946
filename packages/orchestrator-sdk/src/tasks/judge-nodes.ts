/** Looks at the nodes of a session for one task: records from the store, connections and slots from memory. */
import type { NodeId, TaskId } from "@cortex-mesh/protocol";
import { systemScope } from "../access/scope.js";
import type { NodeConnections } from "../nodes/connections.js";
import type { NodeRecord, SessionRecord } from "../store/records.js";
import type { HubStore } from "../store/store.js";
import type { BouncePauses } from "./bounce-pause.js";
import { judge, type PlacementNeeds, type Verdict } from "./eligibility.js";
import type { Slots } from "./slots.js";

/** Records of nodes that were read already. */
export type KnownNodes = Map<NodeId, NodeRecord | undefined>;

/** What nodes are judged by. */
export interface Judging {
  readonly store: HubStore;
  readonly connections: NodeConnections;
  readonly slots: Slots;
  readonly pauses: BouncePauses;
  /** Monotonic. */
  readonly nowMs: () => number;
}

/** A task whose nodes are to be judged. */
export interface JudgedTask {
  readonly taskId: TaskId;
  readonly session: SessionRecord;
  readonly needs: PlacementNeeds;
}

/** Every node of the session with its verdict; records that are `known` are not read again. */
export async function judgeNodes(
  judging: Judging,
  { taskId, session, needs }: JudgedTask,
  known: KnownNodes,
): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  for (const { nodeId } of session.nodes) {
    const node = await readNode(judging.store, known, nodeId);
    if (node === undefined) continue;
    const connection = judging.connections.get(nodeId);
    const pause = connection && judging.pauses.find({ taskId, nodeId, epoch: connection.epoch }, judging.nowMs());
    verdicts.push(
      judge(needs, {
        node,
        isOnline: connection?.isReady === true,
        isDraining: connection?.isDraining === true,
        freeSlots: Math.max(0, freeSlots(judging, nodeId)),
        pause,
      }),
    );
  }
  return verdicts;
}

/** Tasks that a ready node takes beside those it has; negative when it takes fewer than before. */
export function freeSlots({ connections, slots }: Pick<Judging, "connections" | "slots">, nodeId: NodeId): number {
  const connection = connections.ready(nodeId);
  return connection === undefined ? 0 : connection.maxTasks - slots.usedBy(nodeId);
}

/** The record of a node, read once. */
export function readNode(store: HubStore, nodes: KnownNodes, nodeId: NodeId): Promise<NodeRecord | undefined> {
  return readOnce(nodes, nodeId, (id) => store.nodes.get(systemScope, id));
}

/** What `read` gives for a key, read once while it is there. */
export async function readOnce<K, V>(known: Map<K, V>, key: K, read: (key: K) => Promise<V>): Promise<V> {
  const present = known.get(key);
  if (present !== undefined) return present;
  const value = await read(key);
  known.set(key, value);
  return value;
}
