/**
 * How a machine becomes a node: it shows the invite's secret and signs a challenge with the key it made.
 *
 * Invariants:
 * - N1 One transaction spends the invite and inserts the node; of any number of tries at once, one gets in.
 * - N2 Nothing is written before the signature over the challenge holds.
 * - N3 The key that spent an invite may repeat the call for {@link REPEAT_WINDOW_MS} and gets the same answer, so that an
 *   answer lost on the way costs nothing. Another key with the right secret is refused and reported.
 * - N4 An unknown invite and a wrong secret get the same answer. {@link MAX_INVITE_TRIES} wrong secrets withdraw an invite.
 */
import { create } from "@bufbuild/protobuf";
import {
  type Clock,
  CortexError,
  createVerifyKey,
  DEFAULT_MAX_TASKS,
  type IdSource,
  type InviteId,
  isEnrollmentProof,
  isEqualSecret,
  isId,
  type NodeId,
  type VerifyKey,
} from "@cortex-mesh/protocol";
import {
  type BeginEnrollmentRequest,
  type BeginEnrollmentResponse,
  BeginEnrollmentResponseSchema,
  type FinishEnrollmentRequest,
  type FinishEnrollmentResponse,
  FinishEnrollmentResponseSchema,
} from "@cortex-mesh/protocol/gen";
import { systemScope } from "../access/scope.js";
import { appendFeed } from "../feed/feed-service.js";
import type { InviteRecord, NodeRecord } from "../store/records.js";
import type { HubStore, StoreTransaction } from "../store/store.js";
import type { HubAuthority } from "./authority.js";
import { inviteStatus } from "./invite-status.js";
import { hmacOfSecret, MAX_INVITE_TRIES } from "./invites.js";
import { MAX_NODE_NAME_CHARS, parseNodeName } from "./node-name.js";
import { createNonceMint, NONCE_TTL_MS, type NonceMint } from "./nonces.js";
import { type RandomSource, systemRandom } from "./random.js";

/** How long the key that spent an invite may ask again for the answer. */
export const REPEAT_WINDOW_MS = 10 * 60_000;

/** Something an owner should hear of: the secret of a spent invite is in other hands. */
export interface SuspiciousEnrolment {
  readonly inviteId: InviteId;
  readonly ownerId: string;
  readonly nodeId: NodeId | undefined;
  /** Id of the key that tried. */
  readonly keyId: string;
}

/** What {@link createEnrolment} needs. */
export interface EnrolmentOptions {
  readonly store: HubStore;
  readonly authority: HubAuthority;
  readonly clock: Clock;
  readonly ids: IdSource;
  /** PEM of the internal CA; undefined with a public certificate. */
  readonly caPem: string | undefined;
  /** @default the system's random source */
  readonly random?: RandomSource;
  /** Called after the commit. */
  readonly onEnrolled?: (node: NodeRecord) => void;
  readonly onSuspicious?: (event: SuspiciousEnrolment) => void;
}

/** The two calls of the `Enrollment` service that make a node. */
export interface Enrolment {
  /** Gives a challenge, for an unknown invite as well. @throws CortexError `INVITE_REFUSED` for a key that is none */
  begin(request: BeginEnrollmentRequest): BeginEnrollmentResponse;
  /** @throws CortexError `INVITE_REFUSED`, `BAD_NAME`, `NODE_REVOKED` */
  finish(request: FinishEnrollmentRequest): Promise<FinishEnrollmentResponse>;
}

/** What came of a try; refusals that count are committed, and thrown afterwards. */
type Outcome =
  | { readonly kind: "joined"; readonly node: NodeRecord; readonly isNew: boolean }
  | { readonly kind: "refused"; readonly error: CortexError; readonly report?: SuspiciousEnrolment };

/** Makes the enrolment of a hub. */
export function createEnrolment(options: EnrolmentOptions): Enrolment {
  const mint = createNonceMint({ clock: options.clock, random: options.random ?? systemRandom });
  return {
    begin(request) {
      const key = toKey(request.publicKey);
      return create(BeginEnrollmentResponseSchema, {
        challenge: mint.issue(bindings(options, request.inviteId, key)),
        hubId: options.authority.hubId,
        expiresInMs: NONCE_TTL_MS,
      });
    },
    async finish(request) {
      const key = toKey(request.publicKey);
      assertProof({ options, mint, request, key });
      const outcome = await options.store.transaction((tx) => spend({ tx, options, request, key }));
      if (outcome.kind === "refused") {
        if (outcome.report !== undefined) options.onSuspicious?.(outcome.report);
        throw outcome.error;
      }
      if (outcome.isNew) options.onEnrolled?.(outcome.node);
      return toResponse(options, outcome.node);
    },
  };
}

interface ProofCheck {
  readonly options: EnrolmentOptions;
  readonly mint: NonceMint;
  readonly request: FinishEnrollmentRequest;
  readonly key: VerifyKey;
}

function assertProof({ options, mint, request, key }: ProofCheck): void {
  const { challenge, inviteId, signature } = request;
  if (!mint.isValid(challenge, bindings(options, inviteId, key))) {
    throw new CortexError("INVITE_REFUSED", "the challenge has expired or is not of this hub; begin again");
  }
  const fields = { challenge, inviteId, publicKey: key.publicKey, hubId: options.authority.hubId };
  if (!isEnrollmentProof(key, fields, signature)) {
    throw new CortexError("INVITE_REFUSED", "the challenge is not signed by the key that asks");
  }
}

interface Attempt {
  readonly tx: StoreTransaction;
  readonly options: EnrolmentOptions;
  readonly request: FinishEnrollmentRequest;
  readonly key: VerifyKey;
}

async function spend(attempt: Attempt): Promise<Outcome> {
  const { tx, options, request } = attempt;
  const invite = isId("inv", request.inviteId) ? await tx.invites.get(systemScope, request.inviteId) : undefined;
  const given = Buffer.from(hmacOfSecret(options.authority, request.secret), "hex");
  const stored = invite === undefined ? Buffer.alloc(given.byteLength) : Buffer.from(invite.secretHmac, "hex");
  const isRight = isEqualSecret(given, stored);
  if (invite === undefined) return refused("the invite is not valid");
  if (!isRight) {
    await countFailure(attempt, invite);
    return refused("the invite is not valid");
  }
  const status = inviteStatus(invite, options.clock.nowMs());
  if (status === "used") return repeat(attempt, invite);
  if (status === "expired") return refused("the invite has expired; make a new one");
  if (status === "revoked") return refused("the invite was withdrawn; make a new one");
  return { kind: "joined", node: await join(attempt, invite), isNew: true };
}

async function countFailure({ tx, options }: Attempt, invite: InviteRecord): Promise<void> {
  const nowMs = options.clock.nowMs();
  if (inviteStatus(invite, nowMs) !== "open") return;
  const failedTries = invite.failedTries + 1;
  const revokedAtMs = failedTries >= MAX_INVITE_TRIES ? nowMs : undefined;
  await tx.invites.update({ ...invite, revision: invite.revision + 1, failedTries, revokedAtMs });
}

async function repeat({ tx, options, key }: Attempt, invite: InviteRecord): Promise<Outcome> {
  const { inviteId, ownerId, nodeId } = invite;
  if (invite.usedByKey !== hexOf(key.publicKey)) {
    const report = { inviteId, ownerId, nodeId, keyId: key.keyId };
    return { ...refused("the invite was used by another node; make a new one"), report };
  }
  const node = nodeId === undefined ? undefined : await tx.nodes.get(systemScope, nodeId);
  const isLate = options.clock.nowMs() - (invite.usedAtMs ?? 0) > REPEAT_WINDOW_MS;
  if (isLate || node === undefined) return refused("the invite is used; make a new one");
  if (node.revokedAtMs !== undefined) {
    return { kind: "refused", error: new CortexError("NODE_REVOKED", "the node was revoked; invite it again") };
  }
  return { kind: "joined", node, isNew: false };
}

async function join({ tx, options, request, key }: Attempt, invite: InviteRecord): Promise<NodeRecord> {
  const nowMs = options.clock.nowMs();
  const node = newNode({ nodeId: options.ids.next("node"), invite, request, key, nowMs });
  await tx.nodes.insert(node);
  await tx.invites.update({
    ...invite,
    revision: invite.revision + 1,
    usedAtMs: nowMs,
    usedByKey: node.publicKey,
    nodeId: node.nodeId,
  });
  const data = { nodeId: node.nodeId, name: node.name, inviteId: invite.inviteId };
  await appendFeed(tx, node.ownerId, [{ kind: "node.enrolled", atMs: nowMs, data }]);
  return node;
}

interface NewNode {
  readonly nodeId: NodeId;
  readonly invite: InviteRecord;
  readonly request: FinishEnrollmentRequest;
  readonly key: VerifyKey;
  readonly nowMs: number;
}

function newNode({ nodeId, invite, request, key, nowMs }: NewNode): NodeRecord {
  return {
    nodeId,
    revision: 1,
    ownerId: invite.ownerId,
    name: invite.name ?? ownName(request.nodeName, nodeId),
    labels: invite.labels,
    inviteLabels: invite.labels,
    publicKey: hexOf(key.publicKey),
    createdAtMs: nowMs,
    revokedAtMs: undefined,
    epoch: 0,
    bootId: undefined,
    sessionNonce: undefined,
    version: request.version === "" ? undefined : request.version.slice(0, MAX_NODE_NAME_CHARS),
    capabilities: undefined,
    maxTasks: DEFAULT_MAX_TASKS,
    isDraining: false,
    connectedAtMs: undefined,
    lastSeenAtMs: undefined,
    reconnects: 0,
  };
}

function ownName(asked: string, nodeId: NodeId): string {
  return asked === "" ? `node-${nodeId.slice(-6).toLowerCase()}` : parseNodeName(asked);
}

function toResponse({ authority, caPem }: EnrolmentOptions, node: NodeRecord): FinishEnrollmentResponse {
  const { keyId, publicKey } = authority.grantKey;
  return create(FinishEnrollmentResponseSchema, {
    nodeId: node.nodeId,
    hubId: authority.hubId,
    ownerId: node.ownerId,
    nodeName: node.name,
    grantKeys: [{ keyId, publicKey, notAfterMs: 0n }],
    caPem: caPem ?? "",
  });
}

function toKey(publicKey: Uint8Array): VerifyKey {
  try {
    return createVerifyKey(publicKey);
  } catch (cause) {
    throw new CortexError("INVITE_REFUSED", "the node's public key is not an Ed25519 key", { cause });
  }
}

function bindings({ authority }: EnrolmentOptions, inviteId: string, key: VerifyKey): readonly (string | Uint8Array)[] {
  return ["enrolment", inviteId, key.publicKey, authority.hubId];
}

function refused(message: string): { readonly kind: "refused"; readonly error: CortexError } {
  return { kind: "refused", error: new CortexError("INVITE_REFUSED", message) };
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
