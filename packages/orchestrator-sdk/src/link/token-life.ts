/**
 * When the token of an open connection is refreshed, and when the connection is over without it. Pure.
 *
 * The hub asks between 50 and 70 % of a token's life, each connection at a moment of its own: nodes that came back together
 * after a restart would otherwise all be asked together, for ever.
 */
import { type NodeId, sha256 } from "@cortex-mesh/protocol";
import { NONCE_TTL_MS } from "../nodes/nonces.js";
import { TOKEN_TTL_MS } from "../nodes/tokens.js";

/** A connection whose token is over lives on for this long: a refresh may be under way, and clocks and disks be slow. */
export const REFRESH_GRACE_MS = 60_000;
/** An unanswered challenge is repeated after this time; it is worth nothing from then on. */
export const CHALLENGE_INTERVAL_MS: number = NONCE_TTL_MS;

const EARLIEST_RATIO = 0.5;
const SPREAD_RATIO = 0.2;

/** The token of a connection. Moments are on the monotonic clock. */
export interface TokenLife {
  readonly expiresAtMs: number;
  /** Share of its life after which it is refreshed, from {@link refreshRatio}. */
  readonly ratio: number;
  /** When its newest challenge was sent; undefined when none was. */
  readonly challengedAtMs: number | undefined;
}

/** What is due. */
export type TokenStep =
  | { readonly kind: "wait"; readonly forMs: number }
  | { readonly kind: "challenge" }
  /** The token is over and nobody refreshed it. */
  | { readonly kind: "close" };

/** Says what is due at `nowMs`. */
export function nextTokenStep({ expiresAtMs, ratio, challengedAtMs }: TokenLife, nowMs: number): TokenStep {
  const closeAtMs = expiresAtMs + REFRESH_GRACE_MS;
  if (nowMs >= closeAtMs) return { kind: "close" };
  const firstAtMs = expiresAtMs - TOKEN_TTL_MS * (1 - ratio);
  const dueAtMs = challengedAtMs === undefined ? firstAtMs : challengedAtMs + CHALLENGE_INTERVAL_MS;
  if (nowMs >= dueAtMs) return { kind: "challenge" };
  return { kind: "wait", forMs: Math.min(dueAtMs, closeAtMs) - nowMs };
}

/** The share of a token's life after which a connection is asked: from 0.5 up to 0.7, the same for the same connection. */
export function refreshRatio(nodeId: NodeId, epoch: number): number {
  const share = sha256(`${nodeId} ${epoch}`).readUInt32BE(0) / 2 ** 32;
  return EARLIEST_RATIO + SPREAD_RATIO * share;
}

/** The challenges of a connection. */
export interface Challenges {
  /** The one that waits for its proof. */
  readonly open: Uint8Array | undefined;
  /** The one before, which was not answered in time. */
  readonly lapsed: Uint8Array | undefined;
}

/** What a proof is over. */
export type ProofTarget =
  /** The open challenge. */
  | "open"
  /** The one before: its answer was slow, and the newer one is on its way. */
  | "lapsed"
  /** Neither: made up, of another connection, or answered before. */
  | "foreign";

/** Says which challenge a proof answers, by its nonce. */
export function judgeProof({ open, lapsed }: Challenges, nonce: Uint8Array): ProofTarget {
  if (isSame(open, nonce)) return "open";
  return isSame(lapsed, nonce) ? "lapsed" : "foreign";
}

function isSame(challenge: Uint8Array | undefined, nonce: Uint8Array): boolean {
  return challenge !== undefined && Buffer.compare(challenge, nonce) === 0;
}
