/**
 * Tells one lost node from a fault of the hub's own: when most nodes vanish at once, or the hub itself was away, silence says
 * nothing about the nodes, and no attempt is declared lost for it.
 *
 * - B1 frozen when, within one window, at least {@link BreakerLimits.minNodes} and {@link BreakerLimits.share} of the nodes
 *   that were connected vanished, or when the hub starts with attempts that nodes held.
 * - B2 over when {@link BreakerLimits.backShare} of the missing nodes are back, and in any case after a bounded time.
 * - B3 nodes that vanish while the hub waits for those of before its start are judged all the same: the freeze becomes one of B1
 *   for all who are missing.
 * - B4 a node that left in order (drained, revoked) counts neither as missing nor as connected.
 *
 * Knows only what it is told; times are those of the clock's monotonic time.
 */
import type { Clock, NodeId, Timer } from "@cortex-mesh/protocol";
import type { NodeConnections } from "../nodes/connections.js";

/** When to freeze, and for how long. */
export interface BreakerLimits {
  /** Nodes that vanish within this time vanish "at once": twice the lease of a node. */
  readonly windowMs: number;
  /** Share of the connected nodes from which on it is no coincidence. */
  readonly share: number;
  /** In a mesh with fewer nodes than this one fault takes them all easily. */
  readonly minNodes: number;
  /** Share of the missing nodes that has to be back. */
  readonly backShare: number;
  /** Longest freeze after many nodes vanished. */
  readonly maxFreezeMs: number;
  /** Longest freeze after a start of the hub: a node's longest wait between two dials, and the way back. */
  readonly restartFreezeMs: number;
}

/** The limits of a hub. */
export const DEFAULT_BREAKER_LIMITS: BreakerLimits = {
  windowMs: 40_000,
  share: 0.55,
  minNodes: 3,
  backShare: 0.5,
  maxFreezeMs: 15 * 60_000,
  restartFreezeMs: 90_000,
};

/** Why no attempt is declared lost right now. */
export interface Freeze {
  readonly reason: "vanished" | "restarted";
  /** Nodes that have not come back, of those that were missing in all. */
  readonly missingCount: number;
  readonly affectedCount: number;
  /** Time until it is over in any case. */
  readonly leftMs: number;
}

/** Watches nodes come and go. */
export interface DisconnectBreaker {
  /** The freeze that holds now. */
  readonly freeze: Freeze | undefined;
  came(nodeId: NodeId): void;
  /** Its connection ended without a word. */
  vanished(nodeId: NodeId): void;
  /** It left in order, or is not wanted any more. */
  left(nodeId: NodeId): void;
  /** The hub just started; these nodes held attempts when it stopped. */
  restarted(nodeIds: Iterable<NodeId>): void;
  /** Calls the listener when a freeze begins and when it is over. */
  onChange(listener: (freeze: Freeze | undefined) => void): void;
  /** The hub lets go of its nodes: what they do from now on means nothing. */
  close(): void;
}

/** Makes the breaker of a hub. */
export function createDisconnectBreaker(options: {
  readonly clock: Clock;
  readonly limits?: Partial<BreakerLimits> | undefined;
}): DisconnectBreaker {
  const { clock } = options;
  const limits: BreakerLimits = { ...DEFAULT_BREAKER_LIMITS, ...options.limits };
  const connected = new Set<NodeId>();
  /** Nodes that vanished, with the time; those of an older window are dropped at the next look. */
  const vanished = new Map<NodeId, number>();
  let isClosed = false;
  const listeners: ((freeze: Freeze | undefined) => void)[] = [];
  const state = createFreezeState(clock, limits.backShare, (freeze, before) => {
    // They had their freeze; those that vanish from now on are judged by themselves.
    if (freeze === undefined && before === "vanished") vanished.clear();
    for (const listener of listeners) listener(freeze);
  });
  return {
    get freeze() {
      return state.view();
    },
    came(nodeId) {
      connected.add(nodeId);
      vanished.delete(nodeId);
      state.cameBack(nodeId);
    },
    vanished(nodeId) {
      if (!connected.delete(nodeId) || isClosed) return;
      const nowMs = clock.monotonicMs();
      vanished.set(nodeId, nowMs);
      state.addMissing(nodeId);
      if (state.view()?.reason === "vanished") return;
      dropOlder(vanished, nowMs - limits.windowMs);
      if (isMassDisconnect(limits, { vanishedCount: vanished.size, connectedCount: connected.size }))
        state.begin("vanished", vanished.keys(), limits.maxFreezeMs);
    },
    left(nodeId) {
      connected.delete(nodeId);
      vanished.delete(nodeId);
      state.drop(nodeId);
    },
    restarted(nodeIds) {
      const missing = [...nodeIds].filter((nodeId) => !connected.has(nodeId));
      if (state.view() === undefined && missing.length > 0) state.begin("restarted", missing, limits.restartFreezeMs);
    },
    onChange: (listener) => void listeners.push(listener),
    close() {
      isClosed = true;
      state.close();
    },
  };
}

/** The freeze that holds, if one does: who is missing, and until when. */
interface FreezeState {
  view(): Freeze | undefined;
  /** Begins a freeze; one that holds goes on as this one, with its missing nodes. */
  begin(reason: Freeze["reason"], nodeIds: Iterable<NodeId>, forMs: number): void;
  /** One more node is missing, if something is frozen. */
  addMissing(nodeId: NodeId): void;
  cameBack(nodeId: NodeId): void;
  /** The node is not waited for any more. */
  drop(nodeId: NodeId): void;
  close(): void;
}

interface Frozen {
  readonly reason: Freeze["reason"];
  readonly affected: Set<NodeId>;
  readonly missing: Set<NodeId>;
  readonly untilMs: number;
  readonly timer: Timer;
}

function createFreezeState(
  clock: Clock,
  backShare: number,
  onChange: (freeze: Freeze | undefined, before: Freeze["reason"] | undefined) => void,
): FreezeState {
  let frozen: Frozen | undefined;
  const view = (): Freeze | undefined =>
    frozen && {
      reason: frozen.reason,
      missingCount: frozen.missing.size,
      affectedCount: frozen.affected.size,
      leftMs: Math.max(0, frozen.untilMs - clock.monotonicMs()),
    };
  const thaw = (): void => {
    const before = frozen?.reason;
    frozen?.timer.cancel();
    frozen = undefined;
    onChange(undefined, before);
  };
  const thawIfBack = ({ affected, missing }: Frozen): void => {
    if (affected.size - missing.size >= affected.size * backShare) thaw();
  };
  return {
    view,
    begin(reason, nodeIds, forMs) {
      const before = frozen?.reason;
      frozen?.timer.cancel();
      const missing = new Set([...(frozen?.missing ?? []), ...nodeIds]);
      const untilMs = clock.monotonicMs() + forMs;
      frozen = { reason, missing, affected: new Set(missing), untilMs, timer: clock.setTimer(thaw, forMs) };
      onChange(view(), before);
    },
    addMissing(nodeId) {
      frozen?.affected.add(nodeId);
      frozen?.missing.add(nodeId);
    },
    cameBack(nodeId) {
      if (frozen?.missing.delete(nodeId) === true) thawIfBack(frozen);
    },
    drop(nodeId) {
      frozen?.missing.delete(nodeId);
      if (frozen?.affected.delete(nodeId) === true) thawIfBack(frozen);
    },
    close: () => frozen?.timer.cancel(),
  };
}

/** Whether so many of the nodes vanishing within one window is no coincidence (B1). */
export function isMassDisconnect(
  { share, minNodes }: Pick<BreakerLimits, "share" | "minNodes">,
  { vanishedCount, connectedCount }: { readonly vanishedCount: number; readonly connectedCount: number },
): boolean {
  return vanishedCount >= minNodes && vanishedCount >= (vanishedCount + connectedCount) * share;
}

/** The same connections, which tell the breaker who comes and goes. */
export function withBreaker(connections: NodeConnections, breaker: DisconnectBreaker): NodeConnections {
  return {
    ...connections,
    add(connection) {
      connections.add(connection);
      breaker.came(connection.nodeId);
    },
    remove(connection) {
      const wasCurrent = connections.remove(connection);
      if (wasCurrent && connection.isDraining) breaker.left(connection.nodeId);
      else if (wasCurrent) breaker.vanished(connection.nodeId);
      return wasCurrent;
    },
  };
}

/** A map keeps the order of its entries, and a node that vanishes again is entered anew: the oldest come first. */
function dropOlder(vanished: Map<NodeId, number>, beforeMs: number): void {
  for (const [nodeId, atMs] of vanished) {
    if (atMs >= beforeMs) return;
    vanished.delete(nodeId);
  }
}
