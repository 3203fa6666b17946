/**
 * Bounds what peers can take that have not shown who they are: connections, calls, bytes and time.
 *
 * A connection is a stranger's until a handler trusts it (`CallContext.trust`). The connection guard drops those that say
 * nothing; this one bounds those that talk without proving anything.
 *
 * (S1) One stranger too many costs a stranger of the network that has most of them its connection: no crowd shuts others out.
 * (S2) A stranger that is still one after `lifeMs` is told to go, and destroyed a little later.
 * (S3) Whom a handler trusted counts no more and gets its calls, until the trust is withdrawn. One owner is trusted with
 *      {@link MAX_TRUSTED_PER_OWNER} connections; further ones stay strangers.
 * (S4) A stranger that sent too much, or the largest when all sent too much, is destroyed.
 */
import type { Http2Server, ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import type { Clock, Timer } from "../clock.js";
import { createStrangerTable, type StrangerTable } from "./stranger-table.js";

/** What strangers may take. */
export interface StrangerLimits {
  /** Connections of all strangers together. */
  readonly maxConnections: number;
  /** Calls at once on the connection of a stranger. */
  readonly maxCalls: number;
  /** Time to become trusted, in milliseconds. */
  readonly lifeMs: number;
  /** Bytes that all strangers together may have sent. */
  readonly maxBytes: number;
  /** Bytes that one stranger may have sent. */
  readonly maxBytesEach: number;
}

/**
 * For a hub. An enrolment or a first token is done in a second and a few KiB; a registration is below a control message, and
 * a stream of logs that is not trusted yet gets one window. A stranger costs about 50 KiB and what it sent.
 */
export const DEFAULT_STRANGER_LIMITS: StrangerLimits = {
  maxConnections: 4_096,
  maxCalls: 8,
  lifeMs: 60_000,
  maxBytes: 256 * 1024 * 1024,
  maxBytesEach: 2 * 1024 * 1024,
};

/** Connections that one owner is trusted with: control and data, and the two before them that broke. */
export const MAX_TRUSTED_PER_OWNER = 4;

/** Calls under way when a stranger is told to go have this long, in milliseconds. */
const FAREWELL_MS = 5_000;
/** How often what strangers sent is looked at, in milliseconds: 25 MiB at a gigabit. */
const BYTE_CHECK_MS = 200;

/** Guards a server against strangers. */
export interface StrangerGuard {
  /** Guards every connection of one HTTP/2 server. */
  watch(http2Server: Http2Server): void;
  /** Whether a connection is one of a stranger. */
  isStranger(session: ServerHttp2Session): boolean;
  /** The peer at `address:port` is `owner` (S3). Gives its session when it is none of a stranger from now on. */
  trust(peerAddress: string, owner: string): ServerHttp2Session | undefined;
  /** The owner's connections are strangers' again; with `isFinal` they are told to go. */
  withdraw(owner: string, options: { readonly isFinal: boolean }): void;
}

interface Peer {
  readonly name: string;
  readonly socket: Socket;
  session: ServerHttp2Session | undefined;
  timer: Timer | undefined;
}

/** Makes a guard; trusted peers may have `trustedCalls` calls at once. */
export function createStrangerGuard(
  limits: StrangerLimits,
  { clock, trustedCalls }: { readonly clock: Clock; readonly trustedCalls: number },
): StrangerGuard {
  const { maxConnections, maxCalls, lifeMs } = limits;
  const strangers = createStrangerTable<Peer>();
  const trusted = createTrustedPeers();

  const setTimer = (peer: Peer, run: () => void, delayMs: number): void => {
    peer.timer?.cancel();
    peer.timer = clock.setTimer(run, delayMs);
  };
  const forget = (peer: Peer): void => {
    peer.timer?.cancel();
    trusted.remove(peer);
    if (strangers.get(peer.name) === peer) strangers.remove(peer.name);
  };
  const destroy = (peer: Peer): void => {
    forget(peer);
    peer.socket.destroy();
  };
  const sendAway = (peer: Peer): void => {
    peer.session?.close();
    setTimer(peer, () => peer.socket.destroy(), peer.session === undefined ? 0 : FAREWELL_MS);
  };
  const bytes = watchBytes({ strangers, clock, limits, destroy });
  const admit = (peer: Peer): void => {
    const crowded = strangers.size >= maxConnections ? strangers.mostCrowded() : undefined;
    if (crowded !== undefined) destroy(crowded);
    strangers.add(peer.name, peer);
    setTimer(peer, () => sendAway(peer), lifeMs);
    bytes.watch();
  };
  const whenConnected = (socket: Socket): void => {
    // Gone already.
    if (socket.remoteAddress === undefined) return;
    const peer: Peer = { name: nameOf(socket), socket, session: undefined, timer: undefined };
    admit(peer);
    socket.once("close", () => forget(peer));
  };
  return {
    watch(http2Server) {
      http2Server.on("connection", whenConnected);
      http2Server.on("session", (session) => noteSession(strangers, session));
    },
    isStranger: (session) => !session.destroyed && strangers.get(nameOf(session.socket)) !== undefined,
    trust(name, owner) {
      const peer = strangers.get(name);
      if (peer === undefined || !trusted.add(owner, peer)) return undefined;
      strangers.remove(name);
      peer.timer?.cancel();
      return allow(peer, trustedCalls);
    },
    withdraw(owner, { isFinal }) {
      for (const peer of trusted.removeAll(owner)) {
        admit(peer);
        allow(peer, maxCalls);
        if (isFinal) sendAway(peer);
      }
    },
  };
}

/** Looks at what strangers sent while there are any (S4). */
function watchBytes({
  strangers,
  clock,
  limits,
  destroy,
}: {
  readonly strangers: StrangerTable<Peer>;
  readonly clock: Clock;
  readonly limits: StrangerLimits;
  readonly destroy: (peer: Peer) => void;
}): { watch(): void } {
  let timer: Timer | undefined;
  const watch = (): void => {
    timer ??= clock.setTimer(check, BYTE_CHECK_MS);
  };
  const check = (): void => {
    timer = undefined;
    for (const peer of strangers.heaviest({ each: limits.maxBytesEach, all: limits.maxBytes })) destroy(peer);
    if (strangers.size > 0) watch();
  };
  return { watch };
}

/** Who is trusted, by owner. */
function createTrustedPeers() {
  const owners = new Map<string, Set<Peer>>();
  const ownerOf = new WeakMap<Peer, string>();
  return {
    /** False when the owner has as many as it may have. */
    add(owner: string, peer: Peer): boolean {
      const peers = owners.get(owner) ?? new Set();
      if (peers.size >= MAX_TRUSTED_PER_OWNER) return false;
      owners.set(owner, peers.add(peer));
      ownerOf.set(peer, owner);
      return true;
    },
    remove(peer: Peer): void {
      const owner = ownerOf.get(peer) ?? "";
      const peers = owners.get(owner);
      if (peers?.delete(peer) && peers.size === 0) owners.delete(owner);
    },
    removeAll(owner: string): readonly Peer[] {
      const peers = [...(owners.get(owner) ?? [])];
      owners.delete(owner);
      return peers;
    },
  };
}

function noteSession(strangers: StrangerTable<Peer>, session: ServerHttp2Session): void {
  const peer = strangers.get(nameOf(session.socket));
  if (peer !== undefined) peer.session = session;
}

function allow({ session }: Peer, calls: number): ServerHttp2Session | undefined {
  if (session === undefined || session.destroyed) return undefined;
  session.settings({ maxConcurrentStreams: calls });
  return session;
}

/** The name that a call has for its peer. */
function nameOf({ remoteAddress, remotePort }: Pick<Socket, "remoteAddress" | "remotePort">): string {
  return `${remoteAddress}:${remotePort}`;
}
