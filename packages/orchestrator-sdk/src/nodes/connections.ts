/**
 * The nodes that are connected to this hub right now. Whether a node is online is decided here and nowhere else: by its
 * control stream, never by a flag in the store.
 */
import { CortexError, type NodeId } from "@cortex-mesh/protocol";
import type { NodeConnection } from "./connection.js";

/** The connections of a hub, one a node. */
export interface NodeConnections {
  /** The newest connection of a node, ready or not. */
  get(nodeId: NodeId): NodeConnection | undefined;
  /** The connection when it takes tasks: its hello is handled and it is not draining. */
  ready(nodeId: NodeId): NodeConnection | undefined;
  /** Takes a new connection; an older one of the node is closed as superseded. One that is no newer than the present one is refused. */
  add(connection: NodeConnection): void;
  /** Forgets a connection, unless a newer one took its place. Whether it was the current one. */
  remove(connection: NodeConnection): boolean;
  /** Every connection. */
  all(): Iterable<NodeConnection>;
}

/** Makes an empty set of connections. */
export function createNodeConnections(): NodeConnections {
  const byNode = new Map<NodeId, NodeConnection>();
  return {
    get: (nodeId) => byNode.get(nodeId),
    ready(nodeId) {
      const connection = byNode.get(nodeId);
      return connection?.isReady === true && !connection.isDraining ? connection : undefined;
    },
    add(connection) {
      const present = byNode.get(connection.nodeId);
      if (present !== undefined && present.epoch >= connection.epoch) {
        throw new CortexError(
          "SUPERSEDED",
          `node ${connection.nodeId} has a connection with epoch ${present.epoch} already`,
        );
      }
      byNode.set(connection.nodeId, connection);
      present?.close(new CortexError("SUPERSEDED", `a newer connection of node ${connection.nodeId} took over`));
    },
    remove(connection) {
      if (byNode.get(connection.nodeId) !== connection) return false;
      return byNode.delete(connection.nodeId);
    },
    all: () => byNode.values(),
  };
}
