/**
 * Errors over HTTP: problem documents (RFC 9457) with Cortex' stable `code`. A fault of the hub itself says nothing but
 * where to look in its log.
 */
import { STATUS_CODES } from "node:http";
import { CortexError, isCortexError, toCortexError } from "@cortex-mesh/protocol";
import type { Problem } from "../operations/resources/problem.js";
import { PROBLEM_TYPE } from "../operations/wire.js";

/** What differs from what the error itself says. */
export interface ProblemOptions {
  readonly requestId: string;
  /** For answers that have a status of their own (405, 416). */
  readonly status?: number;
}

/** Whether an error is a fault of the hub, so that its text stays in the hub. */
export function isHubFault(error: unknown): boolean {
  return !isCortexError(error) || error.code === "INTERNAL" || error.code === "DATA_CORRUPT";
}

/** Makes the document for any caught value. */
export function toProblem(caught: unknown, options: ProblemOptions): Problem {
  const error = isHubFault(caught)
    ? new CortexError("INTERNAL", "the hub failed; its log says more")
    : toCortexError(caught);
  const status = options.status ?? error.httpStatus;
  return {
    type: `urn:cortex:problem:${error.code.toLowerCase()}`,
    title: STATUS_CODES[status] ?? "Client Closed Request",
    status,
    detail: error.message,
    code: error.code,
    instance: `urn:cortex:request:${options.requestId}`,
    retryable: error.retryable,
    ...(Object.keys(error.details).length === 0 ? {} : { details: { ...error.details } }),
  };
}

/** Seconds after which a refused but retryable request may come again. */
const RETRY_AFTER_SECONDS = 1;

/** Makes the response for any caught value. */
export function problemResponse(
  caught: unknown,
  options: ProblemOptions & { readonly headers?: Readonly<Record<string, string>> },
): Response {
  const problem = toProblem(caught, options);
  const headers = new Headers(options.headers);
  headers.set("content-type", PROBLEM_TYPE);
  if (problem.status === 401) headers.set("www-authenticate", 'Bearer realm="cortex"');
  if (problem.status === 429 || problem.status === 503) headers.set("retry-after", String(RETRY_AFTER_SECONDS));
  return new Response(JSON.stringify(problem), { status: problem.status, headers });
}
