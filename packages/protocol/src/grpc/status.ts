/**
 * Carries Cortex errors over gRPC and reads them back.
 *
 * An error travels as its gRPC status, its message as the status text, and its code in the trailer `cortex-code`
 * (details in `cortex-details-bin`, JSON). Whoever knows only gRPC sees a sensible status.
 *
 * (S1) Nothing that was not written for a peer reaches one: what is not a Cortex error, and every `INTERNAL`,
 * travels as "internal error" without details.
 */
import { Metadata, type ServiceError, status as Status, type StatusObject } from "@grpc/grpc-js";
import {
  CortexError,
  type CortexErrorCode,
  type ErrorDetails,
  isCortexError,
  isCortexErrorCode,
  toCortexError,
} from "../errors.js";

/** Trailer with the {@link CortexErrorCode}. */
export const CODE_TRAILER = "cortex-code";
/** Trailer with the error's details, JSON in UTF-8. */
export const DETAILS_TRAILER = "cortex-details-bin";

/** Characters of a message that travel: percent-encoded it may grow threefold and must fit a 16 KiB header list. */
const MAX_MESSAGE_CHARACTERS = 1024;
/** Bytes of details that travel; larger ones are left out. */
const MAX_DETAILS_BYTES = 4096;

/** Gives any thrown value the shape in which grpc-js sends it (S1). */
export function toServiceError(thrown: unknown): ServiceError {
  const error = isCortexError(thrown) ? thrown : toCortexError(thrown);
  const isPublic = error.code !== "INTERNAL";
  const text = isPublic ? wireText(error.message) : "internal error";
  const metadata = new Metadata();
  metadata.set(CODE_TRAILER, error.code);
  if (isPublic) {
    const details = Buffer.from(JSON.stringify(error.details));
    if (details.byteLength > 2 && details.byteLength <= MAX_DETAILS_BYTES) metadata.set(DETAILS_TRAILER, details);
  }
  return Object.assign(new Error(text), { code: error.grpcStatus, details: text, metadata });
}

/** Reads the error of a call that ended with a status other than OK; the status itself becomes its cause. */
export function fromServiceError(status: Pick<StatusObject, "code" | "details" | "metadata">): CortexError {
  const [sentCode] = status.metadata.get(CODE_TRAILER);
  const code = typeof sentCode === "string" && isCortexErrorCode(sentCode) ? sentCode : codeOfStatus(status);
  return new CortexError(code, status.details, { details: readDetails(status.metadata), cause: status });
}

/** Statuses that grpc-js or a proxy made, with the code that tells a caller the same. */
const CODE_OF_STATUS: Readonly<Partial<Record<Status, CortexErrorCode>>> = {
  [Status.CANCELLED]: "CANCELLED",
  [Status.INVALID_ARGUMENT]: "BAD_REQUEST",
  [Status.DEADLINE_EXCEEDED]: "TIMED_OUT",
  [Status.NOT_FOUND]: "NOT_FOUND",
  [Status.ALREADY_EXISTS]: "IDEMPOTENCY_CONFLICT",
  [Status.PERMISSION_DENIED]: "POLICY_DENIED",
  [Status.FAILED_PRECONDITION]: "PRECONDITION_FAILED",
  [Status.ABORTED]: "REVISION_CONFLICT",
  [Status.OUT_OF_RANGE]: "PAST_RETENTION",
  [Status.UNIMPLEMENTED]: "NOT_SUPPORTED",
  [Status.UNAVAILABLE]: "UNAVAILABLE",
  [Status.DATA_LOSS]: "DATA_CORRUPT",
  [Status.UNAUTHENTICATED]: "UNAUTHENTICATED",
};

function codeOfStatus({ code, details }: Pick<StatusObject, "code" | "details">): CortexErrorCode {
  if (code === Status.RESOURCE_EXHAUSTED) return /larger than/.test(details) ? "TOO_LARGE" : "QUOTA_EXCEEDED";
  // grpc-js reports some lost connections as INTERNAL with the HTTP/2 reset in the text.
  if (code === Status.INTERNAL && /RST_STREAM|without gRPC status/.test(details)) return "UNAVAILABLE";
  return CODE_OF_STATUS[code] ?? "INTERNAL";
}

/** Cuts a message to its limit; a cut or lone surrogate, which `encodeURI` in grpc-js refuses, becomes U+FFFD. */
function wireText(message: string): string {
  return Buffer.from(message.slice(0, MAX_MESSAGE_CHARACTERS)).toString();
}

function readDetails(metadata: Metadata): ErrorDetails {
  const [sent] = metadata.get(DETAILS_TRAILER);
  if (!Buffer.isBuffer(sent) || sent.byteLength > MAX_DETAILS_BYTES) return {};
  try {
    const parsed: unknown = JSON.parse(sent.toString());
    if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) return {};
    return Object.fromEntries(
      Object.entries(parsed).filter(([, value]) => ["string", "number", "boolean"].includes(typeof value)),
    );
  } catch {
    // Details only explain: an error that carries unreadable ones still has its code and message.
    return {};
  }
}
