/**
 * Guards the server's connections: windows by role, and no place for peers that connect and say nothing.
 *
 * (G1) A connection starts with control windows. The first call that names itself `data` in its user agent raises
 *      them, for this connection alone. So a peer can make the server hold 1 MiB a stream, and 8 MiB only on
 *      connections that carry bulk; windows are bounds, idle connections hold nothing. A stranger's are raised when it is
 *      trusted, not before.
 * (G2) A connection without a call within `handshakeTimeoutMs` is destroyed.
 * (G3) `destroyAll` ends every connection, also one in its handshake. grpc-js' own `forceShutdown` forgets them when
 *      channelz is off.
 */
import type { Http2Server, Http2Session, IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import type { Clock, Timer } from "../clock.js";
import { type ChannelRole, WINDOW_BYTES } from "./transport-limits.js";

/** What a connection is guarded with. */
export interface ConnectionGuardOptions {
  readonly handshakeTimeoutMs: number;
  readonly clock: Clock;
  /** Whether a connection has to do with the windows that it began with, for now. */
  readonly isHeldBack: (session: ServerHttp2Session) => boolean;
}

/** The start of the user agent by which a client says what a connection is for. */
export const USER_AGENT_PREFIX = "cortex-";

/** Guards the connections of a server. */
export interface ConnectionGuard {
  /** Guards every connection of one HTTP/2 server. */
  watch(http2Server: Http2Server): void;
  /** Raises the windows of a connection that was held back and carries bulk (G1). */
  release(session: ServerHttp2Session): void;
  /** Ends every connection now (G3). */
  destroyAll(): void;
}

/** Makes a guard; it may watch several ports. */
export function createConnectionGuard(options: ConnectionGuardOptions): ConnectionGuard {
  const { handshakeTimeoutMs, clock, isHeldBack } = options;
  const sockets = new Set<Socket>();
  const waiting = new Map<Http2Session, Timer>();
  const raised = new WeakSet<Http2Session>();
  const heldBack = new WeakSet<Http2Session>();

  const settle = (session: Http2Session): void => {
    waiting.get(session)?.cancel();
    waiting.delete(session);
  };
  const whenConnected = (socket: Socket): void => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  };
  const whenSession = (session: ServerHttp2Session): void => {
    session.setLocalWindowSize(WINDOW_BYTES.control);
    const silence = clock.setTimer(() => session.destroy(), handshakeTimeoutMs);
    waiting.set(session, silence);
    session.once("close", () => settle(session));
  };
  const whenCalled = ({ session }: ServerHttp2Stream, headers: IncomingHttpHeaders): void => {
    if (session === undefined || session.destroyed) return;
    settle(session);
    if (raised.has(session) || roleOfUserAgent(headers["user-agent"]) !== "data") return;
    const own = session as ServerHttp2Session;
    if (isHeldBack(own)) heldBack.add(own);
    else raise(own);
  };
  const raise = (session: ServerHttp2Session): void => {
    raised.add(session);
    session.settings({ initialWindowSize: WINDOW_BYTES.data });
    session.setLocalWindowSize(WINDOW_BYTES.data);
  };
  return {
    watch(http2Server) {
      http2Server.on("connection", whenConnected);
      http2Server.on("session", whenSession);
      http2Server.on("stream", whenCalled);
    },
    release(session) {
      if (heldBack.delete(session) && !session.destroyed) raise(session);
    },
    destroyAll() {
      for (const socket of sockets) socket.destroy();
    },
  };
}

function roleOfUserAgent(userAgent: string | undefined): ChannelRole {
  return userAgent?.startsWith(`${USER_AGENT_PREFIX}data`) === true ? "data" : "control";
}
