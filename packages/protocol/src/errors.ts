/**
 * The error model of every Cortex package: one class, many codes.
 *
 * Callers branch on `code`, people read `message`, and both travel: over HTTP as a problem document with the code's
 * status, over gRPC as a status with the code in metadata. A code is public API: what one means never changes.
 */

/** How a code travels: HTTP status, google.rpc.Code number, and whether the same request may succeed later. */
interface CodeRow {
  readonly http: number;
  readonly grpc: number;
  readonly retryable: boolean;
}

const row = (http: number, grpc: number, retryable = false): CodeRow => ({ http, grpc, retryable });

const CODES = {
  /** The request does not fit its schema; the message names the field. */
  BAD_REQUEST: row(400, 3),
  /** A path leaves what was granted. */
  PATH_OUTSIDE_WORKSPACE: row(400, 3),
  /** A name that is reserved or has characters that are not allowed. */
  BAD_NAME: row(400, 3),
  /** No credentials, or credentials that do not hold. */
  UNAUTHENTICATED: row(401, 16),
  /** A policy refuses the action. */
  POLICY_DENIED: row(403, 7),
  /** Unknown, or owned by somebody else. */
  NOT_FOUND: row(404, 5),
  /** The idempotency key was used for another request. */
  IDEMPOTENCY_CONFLICT: row(409, 6),
  /** The node was revoked by its owner. */
  NODE_REVOKED: row(409, 9),
  /** The node is not attached to the session. */
  NODE_NOT_ATTACHED: row(409, 9),
  /** The task has ended; its outcome does not change. */
  ALREADY_ENDED: row(409, 9),
  /** Somebody else holds the lock. */
  LOCKED: row(409, 10, true),
  /** A write lost to a newer revision; read again first. */
  REVISION_CONFLICT: row(412, 10, true),
  /** A condition of the request (`If-Match`) does not hold. */
  PRECONDITION_FAILED: row(412, 9),
  /** What was asked for is older than what is kept; `details.earliest` says from where it is. */
  PAST_RETENTION: row(410, 11),
  /** A message, body or value is over its limit. */
  TOO_LARGE: row(413, 8),
  /** A quota is used up; try again when something ended. */
  QUOTA_EXCEEDED: row(429, 8, true),
  /** This build does not have it. */
  NOT_SUPPORTED: row(501, 12),
  /** The other side cannot be reached or is closing. */
  UNAVAILABLE: row(503, 14, true),
  /** The disk is full; nothing was accepted. */
  STORAGE_FULL: row(507, 8, true),
  /** The isolation that was asked for cannot be proven on this node. */
  SANDBOX_UNAVAILABLE: row(409, 9),
  /** The program does not exist or cannot be executed. */
  COMMAND_NOT_FOUND: row(400, 5),
  /** A node runs no skill of this name. */
  SKILL_NOT_FOUND: row(400, 5),
  /** A signed grant does not verify, is expired, or is meant for something else. */
  GRANT_REFUSED: row(403, 7),
  /** An invite is used, expired, withdrawn or altered. */
  INVITE_REFUSED: row(403, 7),
  /** A connection was replaced by a newer one of the same node. */
  SUPERSEDED: row(409, 10),
  /** A frame is missing on a stream that promises none; the connection is made anew. */
  STREAM_GAP: row(503, 15, true),
  /** The peers share no protocol version; `details` name both ranges. */
  VERSION_UNSUPPORTED: row(409, 9),
  /** Stored bytes do not match their checksum; the message names the place. */
  DATA_CORRUPT: row(500, 15),
  /** The state directory is in use by another process. */
  STATE_IN_USE: row(409, 9),
  /** The caller withdrew. */
  CANCELLED: row(499, 1),
  /** The time that was allowed is over. */
  TIMED_OUT: row(504, 4, true),
  /** A fault of Cortex itself. */
  INTERNAL: row(500, 13),
} as const satisfies Record<string, CodeRow>;

/** Stable, machine-readable reason of a {@link CortexError}. */
export type CortexErrorCode = keyof typeof CODES;

/** Facts a log reader needs: identifiers, sizes, revisions. Never secrets or file content. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean>>;

/** What a {@link CortexError} may carry besides its message. */
export interface CortexErrorOptions extends ErrorOptions {
  readonly details?: ErrorDetails;
}

/** Registered globally, so that two copies of this package in one process recognise each other. */
const BRAND = Symbol.for("cortex.error");

/**
 * The only error class that Cortex throws on purpose.
 *
 * @example
 * ```ts
 * throw new CortexError("NODE_REVOKED", `node ${nodeId} was revoked; invite it again`, { details: { nodeId } });
 * ```
 */
export class CortexError extends Error {
  override readonly name: string = "CortexError";
  readonly code: CortexErrorCode;
  readonly details: ErrorDetails;

  constructor(code: CortexErrorCode, message: string, options: CortexErrorOptions = {}) {
    super(message, options);
    this.code = code;
    this.details = options.details ?? {};
    Object.defineProperty(this, BRAND, { value: true });
  }

  /** Whether the same request may succeed later without being changed. */
  get retryable(): boolean {
    return CODES[this.code].retryable;
  }

  /** The gRPC status (google.rpc.Code) this error travels as. */
  get grpcStatus(): number {
    return CODES[this.code].grpc;
  }

  /** The HTTP status this error travels as. */
  get httpStatus(): number {
    return CODES[this.code].http;
  }
}

/** Narrows a caught value. Use this, not `instanceof`, across package borders. */
export function isCortexError(value: unknown): value is CortexError {
  return typeof value === "object" && value !== null && BRAND in value;
}

/** Whether `code` is one of the published codes; for codes that arrive from outside. */
export function isCortexErrorCode(code: string): code is CortexErrorCode {
  return Object.hasOwn(CODES, code);
}

/** Gives any caught value as a {@link CortexError}; what is not one becomes `fallback` with the value as its cause. */
export function toCortexError(value: unknown, fallback: CortexErrorCode = "INTERNAL"): CortexError {
  if (isCortexError(value)) return value;
  const message = value instanceof Error ? value.message : String(value);
  return new CortexError(fallback, message, { cause: value });
}
