/**
 * Bounds what peers can take that have not shown who they are: connections, calls and time.
 *
 * A connection is a stranger's until a handler trusts it (`CallContext.trust`). The connection guard drops those that say
 * nothing; this one bounds those that talk without proving anything.
 *
 * (S1) A stranger over a bound is destroyed when it connects, before its TLS handshake costs anything.
 * (S2) A stranger that is still one after `lifeMs` is told to go, and destroyed a little later.
 * (S3) Whom a handler trusted counts no more and gets its calls.
 */
import type { Http2Server, ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import type { Clock, Timer } from "../clock.js";

/** What strangers may take. */
export interface StrangerLimits {
  /** Connections of all strangers together. */
  readonly maxConnections: number;
  /** Connections of strangers from one address. */
  readonly maxConnectionsPerAddress: number;
  /** Calls at once on the connection of a stranger. */
  readonly maxCalls: number;
  /** Time to become trusted, in milliseconds. */
  readonly lifeMs: number;
}

/**
 * For a hub. An enrolment or a first token is done in a second. A thousand nodes behind one address come back at once after
 * a restart; what is refused is dialled again. A stranger costs about 50 KiB until it is trusted or gone.
 */
export const DEFAULT_STRANGER_LIMITS: StrangerLimits = {
  maxConnections: 4_096,
  maxConnectionsPerAddress: 1_024,
  maxCalls: 8,
  lifeMs: 60_000,
};

/** Calls under way when a stranger is told to go have this long, in milliseconds. */
const FAREWELL_MS = 5_000;

/** Guards a server against strangers. */
export interface StrangerGuard {
  /** Guards every connection of one HTTP/2 server. */
  watch(http2Server: Http2Server): void;
  /** The peer at `address:port` has shown who it is (S3). */
  trust(peerAddress: string): void;
}

interface Stranger {
  readonly address: string;
  readonly socket: Socket;
  session: ServerHttp2Session | undefined;
  timer: Timer | undefined;
}

/** Makes a guard; trusted peers may have `trustedCalls` calls at once. */
export function createStrangerGuard(
  { maxConnections, maxConnectionsPerAddress, lifeMs }: StrangerLimits,
  { clock, trustedCalls }: { readonly clock: Clock; readonly trustedCalls: number },
): StrangerGuard {
  const strangers = new Map<string, Stranger>();
  const perAddress = new Map<string, number>();

  const forget = (peer: string): Stranger | undefined => {
    const stranger = strangers.get(peer);
    if (stranger === undefined) return undefined;
    stranger.timer?.cancel();
    strangers.delete(peer);
    const left = (perAddress.get(stranger.address) ?? 1) - 1;
    if (left > 0) perAddress.set(stranger.address, left);
    else perAddress.delete(stranger.address);
    return stranger;
  };
  const sendAway = (stranger: Stranger): void => {
    stranger.session?.close();
    stranger.timer = clock.setTimer(() => stranger.socket.destroy(), stranger.session === undefined ? 0 : FAREWELL_MS);
  };
  const whenConnected = (socket: Socket): void => {
    const { remoteAddress: address } = socket;
    if (address === undefined) return;
    const count = perAddress.get(address) ?? 0;
    if (strangers.size >= maxConnections || count >= maxConnectionsPerAddress) {
      socket.destroy();
      return;
    }
    const peer = nameOf(socket);
    const stranger: Stranger = { address, socket, session: undefined, timer: undefined };
    stranger.timer = clock.setTimer(() => sendAway(stranger), lifeMs);
    strangers.set(peer, stranger);
    perAddress.set(address, count + 1);
    socket.once("close", () => {
      if (strangers.get(peer) === stranger) forget(peer);
    });
  };
  const whenSession = (session: ServerHttp2Session): void => {
    const stranger = strangers.get(nameOf(session.socket));
    if (stranger !== undefined) stranger.session = session;
  };
  return {
    watch(http2Server) {
      http2Server.on("connection", whenConnected);
      http2Server.on("session", whenSession);
    },
    trust(peerAddress) {
      const session = forget(peerAddress)?.session;
      if (session !== undefined && !session.destroyed) session.settings({ maxConcurrentStreams: trustedCalls });
    },
  };
}

/** The name that a call has for its peer. */
function nameOf({ remoteAddress, remotePort }: Pick<Socket, "remoteAddress" | "remotePort">): string {
  return `${remoteAddress}:${remotePort}`;
}
