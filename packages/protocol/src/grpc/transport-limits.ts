/**
 * Sizes and times of the transport, each with its reason. `control` is what must never wait (dispatch, cancel,
 * heartbeat); `data` is bulk. They use connections of their own, so bulk never sits in front of a heartbeat.
 */
import { MAX_CONTROL_MESSAGE_BYTES, MAX_DATA_MESSAGE_BYTES } from "../limits.js";

/** Which of a node's two connections something belongs to. */
export type ChannelRole = "control" | "data";

/** The bounds of one link. */
export interface LinkLimits {
  /** Largest message either way; a frame that does not fit one is refused. */
  readonly maxMessageBytes: number;
  /** Queued bytes at which a message leaves at once, without waiting for the end of the tick. */
  readonly flushBytes: number;
  /** Queued bytes at which the link gives its peer up, because it does not read. */
  readonly maxBufferedBytes: number;
  /** Time for an orderly end to complete, in milliseconds, before the stream is reset. */
  readonly lingerMs: number;
}

/** The bounds of links by role. */
export const LINK_LIMITS: Readonly<Record<ChannelRole, LinkLimits>> = {
  control: {
    maxMessageBytes: MAX_CONTROL_MESSAGE_BYTES,
    // A few TLS records: more gains no throughput and delays what comes behind.
    flushBytes: 32 * 1024,
    maxBufferedBytes: 8 * 1024 * 1024,
    lingerMs: 5_000,
  },
  data: {
    maxMessageBytes: MAX_DATA_MESSAGE_BYTES,
    // The chunk size at which grpc-js reaches its throughput.
    flushBytes: 256 * 1024,
    maxBufferedBytes: 16 * 1024 * 1024,
    lingerMs: 5_000,
  },
};

/** Streams of the control connection; every other stream is data. */
const CONTROL_STREAMS: ReadonlySet<string> = new Set(["taskStream", "reportHealth"]);

/** The connection that a streaming method belongs to, by its local name. */
export function roleOfStream(methodName: string): ChannelRole {
  return CONTROL_STREAMS.has(methodName) ? "control" : "data";
}

/** Flow-control window by role: what may be under way to a reader. 8 MiB fills 1.6 Gbit/s at 40 ms. */
export const WINDOW_BYTES: Readonly<Record<ChannelRole, number>> = {
  control: 1024 * 1024,
  data: 8 * 1024 * 1024,
};

/** How a dead peer is noticed. */
export interface KeepaliveOptions {
  /** Silence after which a ping is sent, in milliseconds. */
  readonly intervalMs: number;
  /** Time for the answer, in milliseconds; then the connection is dropped. */
  readonly timeoutMs: number;
}

/** Both sides ping, also without calls: grpc-js notices a frozen peer in no other way. */
export const DEFAULT_KEEPALIVE: KeepaliveOptions = { intervalMs: 10_000, timeoutMs: 5_000 };

/** Batches read ahead of a slow listener: one being handled, one ready. grpc-js would hold 16. */
export const MAX_READ_AHEAD_MESSAGES = 1;

/** A unary call is answered within this time unless its caller says otherwise, in milliseconds. */
export const DEFAULT_CALL_TIMEOUT_MS = 10_000;

/** A proxy answers within this time; it may have to look the hub's name up and dial. In milliseconds. */
export const PROXY_ANSWER_TIMEOUT_MS = 5_000;

/** Calls at once on one connection: three streams, a bridge each, transfers. */
export const MAX_STREAMS_PER_CONNECTION = 64;

/** Request headers: a token and a few names, far below Node's 64 KiB. */
export const MAX_HEADER_BYTES = 16 * 1024;

/** Memory of one connection in nghttp2, in MB as Node counts it: a 2 MiB message for each of 64 calls, and room. */
export const MAX_SESSION_MEMORY_MEGABYTES = 160;

/** A connection without a TLS handshake, and then without a call, is dropped after this time, in milliseconds. */
export const DEFAULT_HANDSHAKE_TIMEOUT_MS = 5_000;

/** A connection without a call for this long is closed; the client dials again when it needs it. In milliseconds. */
export const MAX_IDLE_CONNECTION_MS = 300_000;

/** Streams that need no token, of all connections together: enough for every probe of a cluster. */
export const MAX_ANONYMOUS_STREAMS = 64;

/** A request that needs no token: a name or two. */
export const MAX_ANONYMOUS_REQUEST_BYTES = 4 * 1024;
