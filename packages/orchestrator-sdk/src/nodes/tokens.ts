/**
 * Tokens: what a node shows on each call, for ten minutes, after it proved its key.
 *
 * Invariants:
 * - K1 A nonce is answered once, by the key of the node it was made for; a repeated answer is refused. The stream that
 *   asked for a renewal sees to that itself, so only nonces that start a connection are remembered, and no revoked node's.
 * - K2 Epoch 0 in a request starts a connection: the node's epoch rises by one in a transaction, which fences every older
 *   connection. Any other epoch renews, and must be the current one.
 * - K3 A token is read with one algorithm, one type, one issuer, one audience and one key; the token has no say in them.
 * - K4 An epoch is registered once: a token that got into other hands takes no connection over.
 *
 * A token says who a node is and under which epoch it speaks. Whether that epoch is still the newest, and whether the
 * node was revoked since, is for the holder of the connection to watch.
 */
import { create } from "@bufbuild/protobuf";
import { calculateJwkThumbprint, errors, type JWTHeaderParameters, type JWTPayload, jwtVerify, SignJWT } from "jose";
import {
  type Clock,
  CortexError,
  createVerifyKey,
  isId,
  isTokenProof,
  type NodeId,
  type VerifyKey,
} from "@cortex-mesh/protocol";
import { type IssueTokenRequest, type IssueTokenResponse, IssueTokenResponseSchema } from "@cortex-mesh/protocol/gen";
import { systemScope } from "../access/scope.js";
import type { NodeRecord } from "../store/records.js";
import type { HubStore } from "../store/store.js";
import type { HubAuthority } from "./authority.js";
import { createNonceMint } from "./nonces.js";
import { type RandomSource, systemRandom } from "./random.js";

/** How long a token holds. */
export const TOKEN_TTL_MS = 10 * 60_000;
/** `typ` of a node's token; tokens of other kinds have another. */
export const TOKEN_TYPE = "cortex-node+jwt";
/** `aud` of a node's token. */
export const TOKEN_AUDIENCE = "cortex.agent.v1";
/** Longest token that is looked at. */
export const MAX_TOKEN_CHARS = 4096;

const ALGORITHM = "EdDSA";
const OWN_HEADER: ReadonlySet<string> = new Set(["alg", "typ", "kid"]);
const JTI_BYTES = 16;
/** The epoch of a request that starts a connection. */
const STARTING_EPOCH = 0n;

/** Who a token is for. */
export interface VerifiedToken {
  readonly nodeId: NodeId;
  readonly epoch: number;
  /** Wall clock of the hub. */
  readonly expiresAtMs: number;
}

/** What {@link createTokens} needs. */
export interface TokensOptions {
  readonly store: HubStore;
  readonly authority: HubAuthority;
  readonly clock: Clock;
  /** @default the system's random source */
  readonly random?: RandomSource;
  /** Called after a new epoch is committed: connections of lower epochs are over. */
  readonly onNewEpoch?: (nodeId: NodeId, epoch: number) => void;
}

/** The tokens of a hub. */
export interface Tokens {
  /** A nonce for a node to answer; of the `IssueToken` call without one, and of the challenge on an open stream. */
  challenge(nodeId: string): Uint8Array;
  /**
   * Answers `IssueToken`: without a nonce with a nonce, with a proof over one with a token.
   *
   * @throws CortexError `UNAUTHENTICATED`, `NODE_REVOKED`, `SUPERSEDED` for a renewal under an older epoch,
   * `UNAVAILABLE`.
   */
  issue(request: IssueTokenRequest): Promise<IssueTokenResponse>;
  /** @throws CortexError `UNAUTHENTICATED` for anything but a valid token of this hub. */
  verify(token: string): Promise<VerifiedToken>;
}

/** Makes the tokens of a hub. */
export function createTokens(options: TokensOptions): Tokens {
  const { authority, clock, random = systemRandom } = options;
  const mint = createNonceMint({ clock, random });
  const bindings = (nodeId: string) => ["token", nodeId, authority.hubId];
  return {
    challenge: (nodeId) => mint.issue(bindings(nodeId)),
    async issue(request) {
      const { nonce, nodeId } = request;
      if (nonce.byteLength === 0) {
        return create(IssueTokenResponseSchema, { nonce: mint.issue(bindings(nodeId)), hubTimeMs: wallMs(clock) });
      }
      if (!mint.isValid(nonce, bindings(nodeId))) throw unauthenticated("the nonce has expired; ask for a new one");
      const { record, key } = await authenticate(options, request);
      assertNotRevoked(record);
      if (request.epoch === STARTING_EPOCH && !mint.spend(nonce, record.nodeId)) {
        throw unauthenticated("the nonce was answered before; ask for a new one");
      }
      const epoch = await settleEpoch(options, record.nodeId, request.epoch);
      const token = await sign({ authority, clock, random, nodeId: record.nodeId, key, epoch });
      return create(IssueTokenResponseSchema, {
        token,
        expiresInMs: TOKEN_TTL_MS,
        epoch: BigInt(epoch),
        hubTimeMs: wallMs(clock),
      });
    },
    verify: (token) => verifyToken(options, token),
  };
}

/** Reads the node and holds the proof against its key. Revocation is told only to the holder of the key. */
async function authenticate(
  { store, authority }: TokensOptions,
  request: IssueTokenRequest,
): Promise<{ readonly record: NodeRecord; readonly key: VerifyKey }> {
  const record = isId("node", request.nodeId) ? await store.nodes.get(systemScope, request.nodeId) : undefined;
  if (record === undefined) throw unauthenticated("the proof does not hold for this node");
  const key = createVerifyKey(Buffer.from(record.publicKey, "hex"));
  const fields = { nonce: request.nonce, nodeId: request.nodeId, hubId: authority.hubId, epoch: request.epoch };
  if (!isTokenProof(key, fields, request.signature)) throw unauthenticated("the proof does not hold for this node");
  return { record, key };
}

/** Gives the epoch that the token is for (K2). */
async function settleEpoch(options: TokensOptions, nodeId: NodeId, asked: bigint): Promise<number> {
  const isNew = asked === STARTING_EPOCH;
  const epoch = await options.store.transaction(async (tx) => {
    const node = await tx.nodes.get(systemScope, nodeId);
    if (node === undefined) throw unauthenticated("the proof does not hold for this node");
    assertNotRevoked(node);
    if (!isNew && asked !== BigInt(node.epoch)) {
      throw new CortexError("SUPERSEDED", `node ${nodeId} has a newer connection (epoch ${node.epoch})`);
    }
    if (!isNew) return node.epoch;
    // The nonce of a registration marks an epoch as registered; this one is not yet (K4).
    const next = { ...node, revision: node.revision + 1, epoch: node.epoch + 1, sessionNonce: undefined };
    await tx.nodes.update(next);
    return next.epoch;
  });
  if (isNew) options.onNewEpoch?.(nodeId, epoch);
  return epoch;
}

function assertNotRevoked({ nodeId, revokedAtMs }: NodeRecord): void {
  if (revokedAtMs === undefined) return;
  throw new CortexError("NODE_REVOKED", `node ${nodeId} was revoked; invite it again`, { details: { nodeId } });
}

interface TokenContent {
  readonly authority: HubAuthority;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly nodeId: NodeId;
  readonly key: VerifyKey;
  readonly epoch: number;
}

async function sign({ authority, clock, random, nodeId, key, epoch }: TokenContent): Promise<string> {
  const nowSeconds = Math.floor(clock.nowMs() / 1000);
  const x = Buffer.from(key.publicKey).toString("base64url");
  const jkt = await calculateJwkThumbprint({ kty: "OKP", crv: "Ed25519", x });
  return await new SignJWT({ cnf: { jkt }, epoch })
    .setProtectedHeader({ alg: ALGORITHM, typ: TOKEN_TYPE, kid: authority.tokenKey.keyId })
    .setIssuer(authority.hubId)
    .setAudience(TOKEN_AUDIENCE)
    .setSubject(nodeId)
    .setJti(Buffer.from(random(JTI_BYTES)).toString("base64url"))
    .setIssuedAt(nowSeconds)
    .setExpirationTime(nowSeconds + TOKEN_TTL_MS / 1000)
    .sign(authority.tokenKey.privateKeyObject);
}

async function verifyToken({ authority, clock }: TokensOptions, token: string): Promise<VerifiedToken> {
  if (token.length > MAX_TOKEN_CHARS) throw unauthenticated("the token is too long");
  let payload: JWTPayload;
  try {
    const verified = await jwtVerify(token, authority.tokenKey.keyObject, {
      algorithms: [ALGORITHM],
      typ: TOKEN_TYPE,
      issuer: authority.hubId,
      audience: TOKEN_AUDIENCE,
      requiredClaims: ["sub", "exp", "iat", "jti", "epoch"],
      currentDate: new Date(clock.nowMs()),
    });
    assertHeader(verified.protectedHeader, authority.tokenKey.keyId);
    payload = verified.payload;
  } catch (cause) {
    const isExpired = cause instanceof errors.JWTExpired;
    throw unauthenticated(isExpired ? "the token has expired" : "the token does not hold", cause);
  }
  const { sub = "", exp = 0 } = payload;
  const epoch = payload["epoch"];
  if (!isId("node", sub) || typeof epoch !== "number" || !Number.isSafeInteger(epoch)) {
    throw unauthenticated("the token does not hold");
  }
  return { nodeId: sub, epoch, expiresAtMs: exp * 1000 };
}

/** A header that names another key, or brings one along, is not one of this hub (K3). */
function assertHeader(header: JWTHeaderParameters, keyId: string): void {
  const isOwn = header.kid === keyId && Object.keys(header).every((name) => OWN_HEADER.has(name));
  if (!isOwn) throw new TypeError("the header is not one that this hub writes");
}

function wallMs(clock: Clock): bigint {
  return BigInt(Math.floor(clock.nowMs()));
}

function unauthenticated(message: string, cause?: unknown): CortexError {
  return new CortexError("UNAUTHENTICATED", message, cause === undefined ? {} : { cause });
}
