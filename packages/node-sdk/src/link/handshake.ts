/**
 * The calls that make a connection: prove the key, get a token with a new epoch, register.
 *
 * The new epoch fences every older connection of this node, so two connections never act at the same time.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type Clock,
  CORTEX_VERSION,
  CortexError,
  isCortexError,
  type Keyring,
  negotiateVersion,
  type Policy,
  parsePolicyBytes,
  SESSION_NONCE_BYTES,
  type SigningKey,
  SUPPORTED_PROTOCOL,
  sha256,
  signTokenProof,
} from "@cortex-mesh/protocol";
import type {
  CapabilitiesSchema,
  IssueTokenResponse,
  RegistrationResponse,
  SandboxPolicy,
} from "@cortex-mesh/protocol/gen";
import type { NodeIdentity } from "../state/identity.js";
import { openPinnedKeys } from "./pinned-keys.js";
import { readToken } from "./stream-token.js";
import type { HubTransport } from "./transport.js";
import { within } from "./within.js";

/** Time for one call, in milliseconds. */
const CALL_TIMEOUT_MS = 15_000;

/** What a node says about itself. */
export interface NodeFacts {
  readonly identity: NodeIdentity;
  readonly key: SigningKey;
  /** New for each process. */
  readonly bootId: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly maxTasks: number;
  readonly capabilities: () => MessageInitShape<typeof CapabilitiesSchema>;
}

/** A policy with the hash that grants repeat. */
export interface AgreedPolicy {
  readonly policy: Policy;
  readonly sha256: Uint8Array;
}

/** What a handshake agreed on. */
export interface HubSession {
  readonly epoch: bigint;
  readonly token: string;
  readonly sessionNonce: Uint8Array;
  readonly keys: Keyring;
  /** Undefined when the hub sent none. */
  readonly policy: AgreedPolicy | undefined;
  readonly heartbeatIntervalMs: number;
  readonly leaseMs: number;
  /** Attempts that ended before may be forgotten, on the hub's clock; 0 for none. */
  readonly forgetBeforeMs: number;
}

/** What {@link shakeHands} needs. */
export interface HandshakeOptions {
  readonly transport: HubTransport;
  readonly facts: NodeFacts;
  readonly clock: Clock;
  readonly randomBytes: (sizeBytes: number) => Uint8Array;
  /** Highest epoch that the node has seen. */
  readonly highestEpoch: bigint;
  readonly signal: AbortSignal;
}

/** The epoch of a request that starts a connection. */
const STARTING_EPOCH = 0n;

/** An error of the proof itself: the hub does not take this node's key. */
export const PROOF_REFUSED = "proofRefused";

/**
 * Makes a session.
 *
 * @throws CortexError what the hub answered; `UNAUTHENTICATED` with `details.proofRefused` when it was the proof.
 */
export async function shakeHands(options: HandshakeOptions): Promise<HubSession> {
  const { transport, clock, signal, facts } = options;
  const limit = { clock, timeoutMs: CALL_TIMEOUT_MS, signal };
  const issued = await requestToken(options);
  const sessionNonce = options.randomBytes(SESSION_NONCE_BYTES);
  const request = {
    nodeId: facts.identity.nodeId,
    version: CORTEX_VERSION,
    protocolMin: SUPPORTED_PROTOCOL.min,
    protocolMax: SUPPORTED_PROTOCOL.max,
    capabilities: facts.capabilities(),
    sessionNonce,
    bootId: facts.bootId,
    labels: { ...facts.labels },
    highestGrantEpoch: options.highestEpoch,
    nodeTimeMs: BigInt(clock.nowMs()),
    maxTasks: facts.maxTasks,
  };
  const response = await within(transport.register(request, issued.token), { ...limit, what: "registration" });
  return openSession({ issued, response, sessionNonce, identity: facts.identity, nowMs: clock.nowMs() });
}

/** Proves the key and gets a token with a new epoch. */
async function requestToken({ transport, facts, clock, signal }: HandshakeOptions): Promise<IssueTokenResponse> {
  const limit = { clock, timeoutMs: CALL_TIMEOUT_MS, what: "getting a token", signal };
  const { nodeId, hubId } = facts.identity;
  const { nonce } = await within(transport.issueToken({ nodeId }), limit);
  const signature = signTokenProof(facts.key, { nonce, nodeId, hubId, epoch: STARTING_EPOCH });
  try {
    return await within(transport.issueToken({ nodeId, nonce, signature, epoch: STARTING_EPOCH }), limit);
  } catch (error) {
    if (!isCortexError(error) || error.code !== "UNAUTHENTICATED") throw error;
    const details = { ...error.details, [PROOF_REFUSED]: true };
    throw new CortexError("UNAUTHENTICATED", error.message, { details, cause: error });
  }
}

interface Agreed {
  readonly issued: IssueTokenResponse;
  readonly response: RegistrationResponse;
  readonly sessionNonce: Uint8Array;
  readonly identity: NodeIdentity;
  readonly nowMs: number;
}

function openSession({ issued, response, sessionNonce, identity, nowMs }: Agreed): HubSession {
  const version = response.protocolVersion;
  negotiateVersion({ min: version, max: version }, SUPPORTED_PROTOCOL);
  return {
    epoch: issued.epoch,
    token: readToken(issued.token),
    sessionNonce,
    keys: openPinnedKeys(identity.grantKeys, response.grantKeys, nowMs),
    policy: response.policy === undefined ? undefined : openPolicy(response.policy),
    heartbeatIntervalMs: response.heartbeatIntervalMs || DEFAULT_HEARTBEAT_MS,
    leaseMs: response.leaseMs || DEFAULT_LEASE_MS,
    forgetBeforeMs: Number(response.forgetBeforeMs),
  };
}

const DEFAULT_HEARTBEAT_MS = 5_000;
const DEFAULT_LEASE_MS = 20_000;

/** Reads a policy of the hub; undefined when it is empty. @throws CortexError when hash and text differ. */
export function openPolicy(sent: SandboxPolicy): AgreedPolicy | undefined {
  if (sent.canonicalJson.byteLength === 0) return undefined;
  const hash = sha256(sent.canonicalJson);
  if (!hash.equals(sent.sha256)) throw new CortexError("DATA_CORRUPT", "the hub's policy does not have its hash");
  return { policy: parsePolicyBytes(sent.canonicalJson), sha256: Uint8Array.from(hash) };
}
