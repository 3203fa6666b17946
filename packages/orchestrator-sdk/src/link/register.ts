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
import { HEARTBEAT_INTERVAL_MS, LEASE_MS } from "./report-health.js";
import { readCapabilities } from "./wire.js";

/** A node's finished attempts may be forgotten after this time. */
export const FORGET_AFTER_MS = 24 * 60 * 60_000;
/** Tasks at once that a node may ask for. */
const MAX_TASKS_A_NODE = 4096;
const SESSION_NONCE_BYTES = 16;

/** What the token of a call proved. */
export interface NodeCredentials {
  readonly nodeId: NodeId;
  readonly epoch: number;
  /** When the token is over, on the hub's wall clock. */
  readonly expiresAtMs: number;
}

/** Writes what a node says of itself; the epoch of the token has to be the newest one. */
export async function recordRegistration(
  { store, clock }: { readonly store: HubStore; readonly clock: Clock },
  credentials: NodeCredentials,
  request: RegistrationRequest,
): Promise<NodeRecord> {
  if (request.nodeId !== credentials.nodeId) throw new CortexError("UNAUTHENTICATED", "the token is for another node");
  if (request.sessionNonce.byteLength !== SESSION_NONCE_BYTES) {
    throw new CortexError("BAD_REQUEST", `the session nonce has ${SESSION_NONCE_BYTES} bytes`);
  }
  const nowMs = clock.nowMs();
  return store.transaction(async (tx) => {
    const node = await tx.nodes.get(systemScope, credentials.nodeId);
    if (node === undefined)
      throw new CortexError("UNAUTHENTICATED", "the node is not known to this hub; invite it again");
    if (node.revokedAtMs !== undefined) throw new CortexError("NODE_REVOKED", "the node was revoked by its owner");
    if (node.epoch !== credentials.epoch)
      throw new CortexError("SUPERSEDED", "a newer connection of the node took over");
    const updated: NodeRecord = {
      ...node,
      revision: node.revision + 1,
      bootId: request.bootId,
      sessionNonce: Buffer.from(request.sessionNonce).toString("hex"),
      version: request.version,
      capabilities: readCapabilities(request.capabilities),
      labels: { ...node.labels, ...request.labels },
      maxTasks: Math.min(Math.max(request.maxTasks, 1), MAX_TASKS_A_NODE),
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
