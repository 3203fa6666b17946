/**
 * When to dial again. Pure.
 *
 * Soon after a healthy link the hub is likely to be back (a restart, a short cut), so the waits are short; later they
 * grow, and all are spread over their window, so that a thousand nodes do not come at the same moment.
 */

/** How long after a healthy link the short waits hold, in milliseconds. */
export const FAST_PHASE_MS = 30_000;
/** A link that held this long counts as healthy, in milliseconds. */
export const HEALTHY_AFTER_MS = 5_000;
/** Shorter links in a row that still get short waits: a hub that is restarted again and again, not one that accepts and drops. */
export const MAX_SHORT_LINKS = 5;

const FAST_FIRST_MS = 100;
const FAST_FACTOR = 1.5;
const FAST_MAX_MS = 1_000;
const SLOW_FIRST_MS = 1_000;
const SLOW_MAX_MS = 60_000;

/** What is remembered between two dials. */
export interface BackoffState {
  /** When the last healthy link ended, on the monotonic clock; undefined when there was none. */
  readonly healthyUntilMs: number | undefined;
  readonly fastTries: number;
  readonly slowTries: number;
  /** Links in a row that were welcomed and did not hold. */
  readonly shortLinks: number;
}

/** Before the first dial. */
export const INITIAL_BACKOFF: BackoffState = { healthyUntilMs: undefined, fastTries: 0, slowTries: 0, shortLinks: 0 };

/** What is known when a wait is to be chosen. */
export interface BackoffNow {
  readonly nowMs: number;
  /** From 0, below 1. */
  readonly random: number;
}

/** The next wait, in milliseconds. */
export function nextDelay(
  state: BackoffState,
  now: BackoffNow,
): { readonly delayMs: number; readonly state: BackoffState } {
  const isFast = state.healthyUntilMs !== undefined && now.nowMs - state.healthyUntilMs < FAST_PHASE_MS;
  if (isFast) {
    const windowMs = Math.min(FAST_MAX_MS, FAST_FIRST_MS * FAST_FACTOR ** state.fastTries);
    return { delayMs: now.random * windowMs, state: { ...state, fastTries: state.fastTries + 1 } };
  }
  const windowMs = Math.min(SLOW_MAX_MS, SLOW_FIRST_MS * 2 ** state.slowTries);
  return { delayMs: now.random * windowMs, state: { ...state, slowTries: state.slowTries + 1 } };
}

/** The state after a link ended that was welcomed at `openedAtMs` and over at `endedAtMs`. */
export function afterLink(state: BackoffState, openedAtMs: number, endedAtMs: number): BackoffState {
  const fresh = { healthyUntilMs: endedAtMs, fastTries: 0, slowTries: 0 };
  if (endedAtMs - openedAtMs >= HEALTHY_AFTER_MS) return { ...fresh, shortLinks: 0 };
  if (state.shortLinks >= MAX_SHORT_LINKS) return { ...state, healthyUntilMs: undefined };
  // Each one begins a little slower than the one before.
  return { ...fresh, fastTries: state.shortLinks, shortLinks: state.shortLinks + 1 };
}
