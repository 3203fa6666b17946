/**
 * Who a node is: its key, and what it remembers of the hub that took it in.
 *
 * The key is there before the hub hears of it, so that an enrolment that was cut off is repeated with the same key.
 */
import { type HubId, isId, type NodeId } from "@cortex-mesh/protocol";
import type { NodeState } from "./node-state.js";

/** A key that signs grants, as it is kept. */
export interface StoredGrantKey {
  readonly keyId: string;
  /** Raw, base64. */
  readonly publicKey: string;
  /** Milliseconds since the Unix epoch; 0 for no end. */
  readonly notAfterMs: number;
}

/** What an enrolled node remembers. */
export interface NodeIdentity {
  readonly nodeId: NodeId;
  /** The invite that made the node. */
  readonly inviteId?: string | undefined;
  readonly hubId: HubId;
  readonly ownerId: string;
  readonly nodeName: string;
  /** `host:port` of the hub. */
  readonly address: string;
  /** Certificate authority of the hub, PEM; empty when it has a public certificate. */
  readonly caPem: string;
  readonly grantKeys: readonly StoredGrantKey[];
  /** Root of the session workspaces, absolute. */
  readonly workspaceRoot: string;
}

/** Reads the identity; undefined when the node was never enrolled. */
export async function readIdentity(state: NodeState): Promise<NodeIdentity | undefined> {
  const text = await state.readSetting("identity");
  if (text === undefined) return undefined;
  const identity = JSON.parse(text) as NodeIdentity;
  return isId("node", identity.nodeId) ? identity : undefined;
}

/** Writes the identity durably. */
export async function writeIdentity(state: NodeState, identity: NodeIdentity): Promise<void> {
  await state.commit((transaction) => transaction.writeSetting("identity", JSON.stringify(identity)));
}
