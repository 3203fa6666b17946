/** The registration of a node: what it says of itself is written down, and it is told the rules of its connection. */
import { create } from "@bufbuild/protobuf";
import {
  type Clock,
  CORTEX_VERSION,
  CortexError,
  type NodeId,
  type Policy,
  policyBytes,
  policyHash,
  type SigningKey,
} from "@cortex-mesh/protocol";
import {
  PolicyMode,
  type RegistrationRequest,
  type RegistrationResponse,
  RegistrationResponseSchema,
} from "@cortex-mesh/protocol/gen";
import { systemScope } from "../access/scope.js";
import type { NodeRecord } from "../store/records.js";
import type { HubStore } from "../store/store.js";
import { readRegistrationFacts } from "./registration-facts.js";
import { HEARTBEAT_INTERVAL_MS, LEASE_MS } from "./report-health.js";

/** A node's finished attempts may be forgotten after this time. */
export const FORGET_AFTER_MS = 24 * 60 * 60_000;
const SESSION_NONCE_BYTES = 16;

/** Names one connection of a node. */
export interface ConnectionKey {
  readonly nodeId: NodeId;
  readonly epoch: number;
}

/** What the token of a call proved. */
export interface NodeCredentials extends ConnectionKey {
  /** When the token is over, on the hub's wall clock. */
  readonly expiresAtMs: number;
}

/**
 * Writes what a node says of itself; the epoch of the token has to be the newest one, and registers once. A node whose
 * answer got lost proves its key again; whoever only has the token cannot.
 */
export async function recordRegistration(
  { store, clock }: { readonly store: HubStore; readonly clock: Clock },
  credentials: NodeCredentials,
  request: RegistrationRequest,
): Promise<NodeRecord> {
  if (request.nodeId !== credentials.nodeId) throw new CortexError("UNAUTHENTICATED", "the token is for another node");
  if (request.sessionNonce.byteLength !== SESSION_NONCE_BYTES) {
    throw new CortexError("BAD_REQUEST", `the session nonce has ${SESSION_NONCE_BYTES} bytes`);
  }
  const { labels: reported, ...facts } = readRegistrationFacts(request);
  const nowMs = clock.nowMs();
  return store.transaction(async (tx) => {
    const node = await tx.nodes.get(systemScope, credentials.nodeId);
    if (node === undefined)
      throw new CortexError("UNAUTHENTICATED", "the node is not known to this hub; invite it again");
    if (node.revokedAtMs !== undefined) throw new CortexError("NODE_REVOKED", "the node was revoked by its owner");
    if (node.epoch !== credentials.epoch)
      throw new CortexError("SUPERSEDED", "a newer connection of the node took over");
    if (node.sessionNonce !== undefined)
      throw new CortexError("SUPERSEDED", "the token has registered a connection already; prove the node's key anew");
    const inviteLabels = node.inviteLabels ?? node.labels;
    const updated: NodeRecord = {
      ...node,
      revision: node.revision + 1,
      ...facts,
      sessionNonce: Buffer.from(request.sessionNonce).toString("hex"),
      inviteLabels,
      // What the owner said stands; what the node says is what it says now.
      labels: { ...reported, ...inviteLabels },
      isDraining: false,
      connectedAtMs: nowMs,
      lastSeenAtMs: nowMs,
      reconnects: node.connectedAtMs === undefined ? 0 : node.reconnects + 1,
    };
    await tx.nodes.update(updated);
    return updated;
  });
}

/** The rules that every connection gets. */
export interface ConnectionRules {
  readonly policySha256: Uint8Array;
  answer(agreed: { readonly protocolVersion: number; readonly epoch: number }): RegistrationResponse;
}

/** Makes the rules of a hub. */
export function createConnectionRules({
  policy,
  grantKey,
  clock,
}: {
  readonly policy: Policy;
  readonly grantKey: SigningKey;
  readonly clock: Clock;
}): ConnectionRules {
  const canonicalJson = policyBytes(policy);
  const sha256 = policyHash(policy);
  const mode = policy.mode === "strict" ? PolicyMode.STRICT : PolicyMode.PERMISSIVE;
  return {
    policySha256: sha256,
    answer({ protocolVersion, epoch }) {
      const nowMs = Math.floor(clock.nowMs());
      return create(RegistrationResponseSchema, {
        protocolVersion,
        epoch: BigInt(epoch),
        policy: { mode, canonicalJson, sha256, revision: 1n },
        grantKeys: [{ keyId: grantKey.keyId, publicKey: grantKey.publicKey }],
        heartbeatIntervalMs: HEARTBEAT_INTERVAL_MS,
        leaseMs: LEASE_MS,
        hubTimeMs: BigInt(nowMs),
        hubVersion: CORTEX_VERSION,
        forgetBeforeMs: BigInt(nowMs - FORGET_AFTER_MS),
      });
    },
  };
}
