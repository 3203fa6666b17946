/** How operations travel over HTTP, as far as both ends must say the same: bases, media types, marks in event streams. */

/** Where the API is. The second is the same without a version. */
export const API_BASES = ["/api/v1", "/api"] as const;

/** Media type of problem documents. */
export const PROBLEM_TYPE = "application/problem+json";

/** Header of a call that may be repeated: the same key means the same call. */
export const IDEMPOTENCY_HEADER = "idempotency-key";
/** Header of a reader of events that comes back: the id of the last event it has. */
export const LAST_EVENT_HEADER = "last-event-id";

/** Silence after which a comment is sent, so that proxies keep the connection and dead ones are noticed. */
export const SSE_KEEP_ALIVE_MS = 15_000;
/** Name of the event that tells of a failure after the headers. */
export const PROBLEM_EVENT = "problem";

/**
 * Comments in event streams. Clients of any kind skip them; ours reads two: `start` names the id from which the events
 * follow, `end` tells an end from a cut, which look the same to a reader behind a proxy.
 */
export const STREAM_COMMENTS = { start: "start ", end: "end", keepAlive: "keep-alive" } as const;
