/**
 * Guards the server's connections: windows by role, and no place for peers that connect and say nothing.
 *
 * (G1) A connection starts with control windows. The first call that names itself `data` in its user agent raises
 *      them, for this connection alone. So a peer can make the server hold 1 MiB a stream, and 8 MiB only on
 *      connections that carry bulk; windows are bounds, idle connections hold nothing.
 * (G2) A connection without a call within `handshakeTimeoutMs` is destroyed.
 */
import type { Http2Server, Http2Session, ServerHttp2Session } from "node:http2";
import type { Clock, Timer } from "../clock.js";
import { type ChannelRole, WINDOW_BYTES } from "./transport-limits.js";

/** What a connection is guarded with. */
export interface ConnectionGuardOptions {
  readonly handshakeTimeoutMs: number;
  readonly clock: Clock;
}

/** The start of the user agent by which a client says what a connection is for. */
export const USER_AGENT_PREFIX = "cortex-";

/** Guards every connection of an HTTP/2 server. */
export function guardConnections(
  http2Server: Http2Server,
  { handshakeTimeoutMs, clock }: ConnectionGuardOptions,
): void {
  const waiting = new Map<Http2Session, Timer>();
  const raised = new WeakSet<Http2Session>();

  const settle = (session: Http2Session): void => {
    waiting.get(session)?.cancel();
    waiting.delete(session);
  };
  http2Server.on("session", (session: ServerHttp2Session) => {
    session.setLocalWindowSize(WINDOW_BYTES.control);
    const silence = clock.setTimer(() => session.destroy(), handshakeTimeoutMs);
    waiting.set(session, silence);
    session.once("close", () => settle(session));
  });
  http2Server.on("stream", (stream, headers) => {
    const { session } = stream;
    if (session === undefined || session.destroyed) return;
    settle(session);
    if (raised.has(session) || roleOfUserAgent(headers["user-agent"]) !== "data") return;
    raised.add(session);
    session.settings({ initialWindowSize: WINDOW_BYTES.data });
    session.setLocalWindowSize(WINDOW_BYTES.data);
  });
}

function roleOfUserAgent(userAgent: string | undefined): ChannelRole {
  return userAgent?.startsWith(`${USER_AGENT_PREFIX}data`) === true ? "data" : "control";
}
