/** The nodes of a hub as their owners see them: what is remembered, together with what is connected right now. */
import { type Clock, CortexError, type NodeId } from "@cortex-mesh/protocol";
import type { Caller } from "../access/caller.js";
import { appendFeed } from "../feed/feed-service.js";
import type { NodeRecord } from "../store/records.js";
import type { HubStore, PageRequest } from "../store/store.js";
import type { Wake } from "../wake/wake.js";
import type { NodeUsage } from "./connection.js";
import type { NodeConnections } from "./connections.js";

/** How a node stands right now. */
export type NodeStatus = "online" | "offline" | "draining" | "revoked";

/** A node with what is known of its connection. */
export interface NodeView {
  readonly record: NodeRecord;
  readonly status: NodeStatus;
  /** Absent while the node is not connected, and before its first heartbeat. */
  readonly usage: NodeUsage | undefined;
  /** Absent while the node is not connected. */
  readonly connection:
    | { readonly epoch: number; readonly connectedAtMs: number; readonly roundTripMs: number | undefined }
    | undefined;
}

/** Nodes of a hub. Every method throws `NOT_FOUND` for what the caller does not own. */
export interface NodeDirectory {
  /** One node with its status and figures. */
  get(caller: Caller, nodeId: NodeId): Promise<NodeView>;
  /** The caller's nodes, in id order. */
  list(caller: Caller, page: PageRequest): Promise<NodeView[]>;
  /** How each of the nodes stands; a node that the caller does not see is left out. */
  statuses(caller: Caller, nodeIds: readonly NodeId[]): Promise<ReadonlyMap<NodeId, NodeStatus>>;
  /** Asks the node to take nothing new and to end when its tasks have. @throws CortexError `NODE_REVOKED` */
  drain(caller: Caller, nodeId: NodeId): Promise<NodeView>;
  /** Ends its right to be here and its streams; idempotent. */
  revoke(caller: Caller, nodeId: NodeId): Promise<NodeView>;
}

/** Grace that a drain from the hub gives running tasks. */
export const DRAIN_GRACE_MS = 10_000;

/** Makes the directory of a hub. */
export function createNodeDirectory(options: {
  readonly store: HubStore;
  readonly connections: NodeConnections;
  readonly wake: Wake;
  readonly clock: Clock;
  /** Settles what the node can no longer report; runs after the revocation is committed, and again when it is asked again. */
  readonly onRevoked: (nodeId: NodeId) => Promise<void>;
}): NodeDirectory {
  const { store, connections, wake, clock } = options;

  const view = (record: NodeRecord): NodeView => {
    const connection = connections.get(record.nodeId);
    const status = statusOf(record, connection);
    if (connection?.isReady !== true) return { record, status, usage: undefined, connection: undefined };
    const { epoch, connectedAtMs, roundTripMs, usage } = connection;
    return { record, status, usage, connection: { epoch, connectedAtMs, roundTripMs } };
  };
  const find = async (caller: Caller, nodeId: NodeId): Promise<NodeRecord> => {
    const record = await store.nodes.get(caller.scope, nodeId);
    if (record === undefined) throw new CortexError("NOT_FOUND", `there is no node ${nodeId}`);
    return record;
  };

  return {
    get: async (caller, nodeId) => view(await find(caller, nodeId)),
    list: async (caller, page) => (await store.nodes.list(caller.scope, page)).map(view),
    async statuses(caller, nodeIds) {
      const statuses = new Map<NodeId, NodeStatus>();
      for (const nodeId of nodeIds) {
        const record = await store.nodes.get(caller.scope, nodeId);
        if (record !== undefined) statuses.set(nodeId, view(record).status);
      }
      return statuses;
    },
    async drain(caller, nodeId) {
      const record = await find(caller, nodeId);
      if (record.revokedAtMs !== undefined) throw new CortexError("NODE_REVOKED", `node ${nodeId} was revoked`);
      const connection = connections.get(nodeId);
      if (connection?.isReady === true) connection.requestDrain(DRAIN_GRACE_MS);
      return view(record);
    },
    async revoke(caller, nodeId) {
      const atMs = clock.nowMs();
      const { record, isNew } = await store.transaction(async (tx) => {
        const before = await tx.nodes.get(caller.scope, nodeId);
        if (before === undefined) throw new CortexError("NOT_FOUND", `there is no node ${nodeId}`);
        if (before.revokedAtMs !== undefined) return { record: before, isNew: false };
        // The next epoch fences every write of the connection that is about to be closed.
        const after = { ...before, revision: before.revision + 1, revokedAtMs: atMs, epoch: before.epoch + 1 };
        await tx.nodes.update(after);
        await appendFeed(tx, after.ownerId, [
          { kind: "node.revoked", atMs, data: { nodeId, name: after.name, status: "revoked" } },
        ]);
        return { record: after, isNew: true };
      });
      // Tasks that wait for this very node will never get it: placement rejects them.
      if (isNew) wake.wake(`user:${record.ownerId}`, "place");
      connections.get(nodeId)?.close(new CortexError("NODE_REVOKED", "the node was revoked by its owner"));
      await options.onRevoked(nodeId);
      return view(record);
    },
  };
}

function statusOf(
  record: NodeRecord,
  connection: { readonly isReady: boolean; readonly isDraining: boolean } | undefined,
): NodeStatus {
  if (record.revokedAtMs !== undefined) return "revoked";
  if (connection?.isReady !== true) return "offline";
  return connection.isDraining ? "draining" : "online";
}
