/**
 * When the token of an open connection is refreshed, and when the connection is over without it. Pure.
 *
 * The hub asks between 50 and 70 % of a token's life, each connection at a moment of its own: nodes that came back together
 * after a restart would otherwise all be asked together, for ever.
 */
import { type Clock, type NodeId, sha256 } from "@cortex-mesh/protocol";
import { NONCE_TTL_MS } from "../nodes/nonces.js";
import { TOKEN_TTL_MS } from "../nodes/tokens.js";

/** A connection whose token is over lives on for this long: a refresh may be under way, and clocks and disks be slow. */
export const REFRESH_GRACE_MS = 60_000;
/** An unanswered challenge is repeated after this time; it is worth nothing from then on. */
export const CHALLENGE_INTERVAL_MS: number = NONCE_TTL_MS;

const EARLIEST_RATIO = 0.5;
const SPREAD_RATIO = 0.2;

/** Longest time between two looks: a wall clock that jumped is noticed within it. */
export const LONGEST_LOOK_MS = 15_000;

/** The token of a connection. Moments are on the monotonic clock, unless they say otherwise. */
export interface TokenLife {
  readonly expiresAtMs: number;
  /** The same on the wall clock, by which other streams judge the token. */
  readonly expiresAtWallMs: number;
  /** Share of its life after which it is refreshed, from {@link refreshRatio}. */
  readonly ratio: number;
  /** When its first challenge was sent; undefined when none was. */
  readonly askedAtMs: number | undefined;
  /** When its newest challenge was sent; undefined when none was. */
  readonly challengedAtMs: number | undefined;
}

/** A moment on both clocks. */
export type Moment = Pick<Clock, "nowMs" | "monotonicMs">;

/** What is due. */
export type TokenStep =
  | { readonly kind: "wait"; readonly forMs: number }
  | { readonly kind: "challenge" }
  /** The token is over and nobody refreshed it. */
  | { readonly kind: "close" };

/**
 * Says what is due. The token is over when the first of the two clocks says so: a wall clock that is set back makes none live
 * longer, and one that is set forward has it refreshed at once. Nobody is let go who was not asked for a while.
 */
export function nextTokenStep(life: TokenLife, moment: Moment): TokenStep {
  const { ratio, askedAtMs, challengedAtMs } = life;
  const nowMs = moment.monotonicMs();
  const leftMs = Math.min(life.expiresAtMs - nowMs, life.expiresAtWallMs - moment.nowMs());
  const closeInMs = askedAtMs === undefined ? undefined : Math.max(leftMs, askedAtMs - nowMs) + REFRESH_GRACE_MS;
  if (closeInMs !== undefined && closeInMs <= 0) return { kind: "close" };
  const firstInMs = leftMs - TOKEN_TTL_MS * (1 - ratio);
  const dueInMs = challengedAtMs === undefined ? firstInMs : challengedAtMs + CHALLENGE_INTERVAL_MS - nowMs;
  if (dueInMs <= 0) return { kind: "challenge" };
  // Whole milliseconds: a share of one may be too little to move a wall clock at all.
  return { kind: "wait", forMs: Math.ceil(Math.min(dueInMs, closeInMs ?? dueInMs, LONGEST_LOOK_MS)) };
}

/** The share of a token's life after which a connection is asked: from 0.5 up to 0.7, the same for the same connection. */
export function refreshRatio(nodeId: NodeId, epoch: number): number {
  const share = sha256(`${nodeId} ${epoch}`).readUInt32BE(0) / 2 ** 32;
  return EARLIEST_RATIO + SPREAD_RATIO * share;
}

/** Unanswered challenges that are remembered: those of the time between the first question and the end, and room. */
export const MAX_LAPSED_CHALLENGES = 6;

/** The challenges of a connection. */
export interface Challenges {
  /** The one that waits for its proof. */
  readonly open: Uint8Array | undefined;
  /** The newest ones that nobody needs answered any more. */
  readonly lapsed: readonly Uint8Array[];
}

/** No challenge was sent. */
export const NO_CHALLENGES: Challenges = { open: undefined, lapsed: [] };

/** The challenges once a newer one is sent, or once none is needed for a while. */
export function supersede({ open, lapsed }: Challenges, newer: Uint8Array | undefined): Challenges {
  const unanswered = open === undefined ? lapsed : [...lapsed, open];
  return { open: newer, lapsed: unanswered.slice(-MAX_LAPSED_CHALLENGES) };
}

/** What a proof is over. */
export type ProofTarget =
  /** The open challenge. */
  | "open"
  /** One that came before: its answer was slow, and says nothing new. */
  | "lapsed"
  /** Neither: made up, of another connection, or answered before. */
  | "foreign";

/** Says which challenge a proof answers, by its nonce. */
export function judgeProof({ open, lapsed }: Challenges, nonce: Uint8Array): ProofTarget {
  if (open !== undefined && isSame(open, nonce)) return "open";
  return lapsed.some((challenge) => isSame(challenge, nonce)) ? "lapsed" : "foreign";
}

function isSame(challenge: Uint8Array, nonce: Uint8Array): boolean {
  return Buffer.compare(challenge, nonce) === 0;
}
