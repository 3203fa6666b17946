/** The nodes of a session: who may attach, and where its workspace lies on each. */
import { CortexError, type NodeId, type SessionId } from "@cortex-mesh/protocol";
import type { Caller } from "../access/caller.js";
import type { SessionNode } from "../store/records.js";
import type { StoreTransaction } from "../store/store.js";
import { parseWorkspacePath } from "./workspace-path.js";

/** Nodes of one session: far more than a person has, few enough to look at in one transaction. */
export const MAX_SESSION_NODES = 64;

/** A node to attach. */
export interface AttachRequest {
  readonly nodeId: NodeId;
  /** Below the node's workspace root. @default the session's id */
  readonly path?: string | undefined;
}

/**
 * Makes the place of a node in a session.
 *
 * @throws CortexError `PATH_OUTSIDE_WORKSPACE`, `BAD_NAME`
 */
export function toPlace(sessionId: SessionId, { nodeId, path }: AttachRequest, attachedAtMs: number): SessionNode {
  return { nodeId, path: path === undefined ? sessionId : parseWorkspacePath(path), attachedAtMs };
}

/**
 * Adds a place; a repeat gives back the same list.
 *
 * @throws CortexError `BAD_REQUEST` when the node is attached with another path, or the session is full.
 */
export function addPlace(nodes: readonly SessionNode[], place: SessionNode): readonly SessionNode[] {
  const present = nodes.find(({ nodeId }) => nodeId === place.nodeId);
  if (present !== undefined && present.path === place.path) return nodes;
  if (present !== undefined) {
    const message = `node ${place.nodeId} is attached with the path "${present.path}"; detach it to change that`;
    throw new CortexError("BAD_REQUEST", message, { details: { field: "path" } });
  }
  if (nodes.length >= MAX_SESSION_NODES) {
    const message = `a session has at most ${MAX_SESSION_NODES} nodes`;
    throw new CortexError("BAD_REQUEST", message, { details: { field: "nodes" } });
  }
  return [...nodes, place];
}

/**
 * Refuses a node that may not attach.
 *
 * @throws CortexError `NOT_FOUND` for one that is not the caller's, `NODE_REVOKED`
 */
export async function assertAttachable(tx: StoreTransaction, caller: Caller, nodeId: NodeId): Promise<void> {
  const node = await tx.nodes.get(caller.scope, nodeId);
  if (node === undefined) throw new CortexError("NOT_FOUND", `there is no node ${nodeId}`);
  if (node.revokedAtMs !== undefined) {
    throw new CortexError("NODE_REVOKED", `node ${nodeId} was revoked; invite it again`);
  }
}
