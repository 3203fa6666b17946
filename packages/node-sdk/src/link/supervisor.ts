/**
 * Keeps a connection to the hub: dials, follows, waits, dials again.
 *
 * (V1) A fatal error ends it with that error; everything else is a reason to come back.
 * (V2) `close` ends it at any moment, also while it dials or waits, and nothing goes on behind it.
 * (V3) Links that do not hold get short waits a few times only, so that a hub that accepts and drops is not dialled in a loop.
 */
import { type Clock, type CortexError, type CortexErrorCode, toCortexError } from "@cortex-mesh/protocol";
import { afterLink, type BackoffState, INITIAL_BACKOFF, nextDelay } from "./backoff.js";
import type { Connection } from "./connection.js";
import type { ConnectionEnd } from "./connection-end.js";
import { PROOF_REFUSED } from "./handshake.js";
import type { HubDial, HubTransport } from "./transport.js";
import { pause } from "./within.js";

/** What a supervisor tells. */
export interface SupervisorEvents {
  /** The hub has welcomed the node. */
  online(connection: Connection): void;
  /** The connection is over; undefined after an orderly end. */
  offline(reason: CortexError | undefined): void;
  /** A dial failed; the next one comes after a wait. */
  dialFailed(error: CortexError, waitMs: number): void;
}

/** What {@link startSupervisor} needs. */
export interface SupervisorOptions {
  readonly dial: HubDial;
  /** Makes a connection over a fresh transport; gives up when the signal fires. */
  readonly connect: (transport: HubTransport, signal: AbortSignal) => Promise<Connection>;
  readonly clock: Clock;
  /** From 0, below 1. */
  readonly random: () => number;
  /** Dials in a row that may fail. @default for ever */
  readonly maxRetries?: number | undefined;
  readonly events: SupervisorEvents;
}

/** A supervisor at work. */
export interface Supervisor {
  /** Resolves when it ended: with the fatal error, or nothing after `close`. Never rejects. */
  readonly ended: Promise<CortexError | undefined>;
  /** Ends it (V2). Idempotent. */
  close(): void;
}

/** Errors that another try does not mend. */
const FATAL_CODES: ReadonlySet<CortexErrorCode> = new Set(["NODE_REVOKED", "VERSION_UNSUPPORTED", "SUPERSEDED"]);
/** Proofs in a row that the hub may refuse: one may have met a nonce that had just run out. */
const MAX_REFUSED_PROOFS = 2;

/** Longest wait that a hub may ask for, in milliseconds: a node is never told to stay away. */
const MAX_ASKED_WAIT_MS = 5 * 60_000;

/** Starts to dial. */
export function startSupervisor(options: SupervisorOptions): Supervisor {
  const aborter = new AbortController();
  let current: Connection | undefined;
  const ended = supervise(options, aborter.signal, (connection) => {
    current = connection;
  });
  return {
    ended,
    close() {
      if (aborter.signal.aborted) return;
      aborter.abort();
      current?.close();
    },
  };
}

/** How one try went. */
interface Try {
  readonly error: CortexError | undefined;
  readonly reconnectAfterMs: number | undefined;
  /** When the link was open, on the monotonic clock; undefined when it never was. */
  readonly openedAtMs: number | undefined;
}

async function supervise(
  options: SupervisorOptions,
  signal: AbortSignal,
  onConnection: (connection: Connection | undefined) => void,
): Promise<CortexError | undefined> {
  const { clock } = options;
  let backoff = INITIAL_BACKOFF;
  let failures = 0;
  let refusedProofs = 0;
  while (!signal.aborted) {
    const last = await tryOnce(options, signal, onConnection);
    if (signal.aborted) break;
    const { error } = last;
    refusedProofs = error?.details[PROOF_REFUSED] === true ? refusedProofs + 1 : 0;
    if (error !== undefined && (FATAL_CODES.has(error.code) || refusedProofs >= MAX_REFUSED_PROOFS)) return error;
    failures = last.openedAtMs === undefined ? failures + 1 : 0;
    if (error !== undefined && failures > (options.maxRetries ?? Number.POSITIVE_INFINITY)) return error;
    const wait = chooseWait(options, backoff, last);
    backoff = wait.state;
    if (last.openedAtMs === undefined && error !== undefined) options.events.dialFailed(error, wait.delayMs);
    await pause(clock, wait.delayMs, signal);
  }
  return undefined;
}

function chooseWait(
  { clock, random }: SupervisorOptions,
  before: BackoffState,
  last: Try,
): { readonly delayMs: number; readonly state: BackoffState } {
  const nowMs = clock.monotonicMs();
  const state = last.openedAtMs === undefined ? before : afterLink(before, last.openedAtMs, nowMs);
  const askedMs = Math.min(last.reconnectAfterMs ?? 0, MAX_ASKED_WAIT_MS);
  const isHealthy = state.healthyUntilMs !== undefined && state.healthyUntilMs !== before.healthyUntilMs;
  // The short waits count from when the hub said it would be back. After a link that did not hold its word only makes
  // the wait longer (V3).
  if (isHealthy && askedMs > 0) return { delayMs: askedMs, state: { ...state, healthyUntilMs: nowMs + askedMs } };
  const next = nextDelay(state, { nowMs, random: random() });
  return { delayMs: Math.max(askedMs, next.delayMs), state: next.state };
}

async function tryOnce(
  options: SupervisorOptions,
  signal: AbortSignal,
  onConnection: (connection: Connection | undefined) => void,
): Promise<Try> {
  let transport: HubTransport | undefined;
  let openedAtMs: number | undefined;
  try {
    transport = options.dial();
    const connection = await options.connect(transport, signal);
    onConnection(connection);
    if (signal.aborted) connection.close();
    const end = await follow(connection, () => {
      openedAtMs = options.clock.monotonicMs();
      options.events.online(connection);
    });
    if (openedAtMs !== undefined) options.events.offline(end.error);
    return { ...end, openedAtMs };
  } catch (error) {
    return { error: toCortexError(error, "UNAVAILABLE"), reconnectAfterMs: undefined, openedAtMs };
  } finally {
    onConnection(undefined);
    transport?.close();
  }
}

async function follow(connection: Connection, onReady: () => void): Promise<ConnectionEnd> {
  try {
    await connection.ready;
    onReady();
  } catch {
    // It ended before the welcome; why is in its end.
  }
  return await connection.closed;
}
