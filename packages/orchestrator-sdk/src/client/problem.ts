/** Answers that are no success, as the errors that the hub meant. */
import { CortexError, type CortexErrorCode, isCortexErrorCode } from "@cortex-mesh/protocol/portable";
import { type Problem, problemResource } from "../operations/resources/problem.js";
import { PROBLEM_TYPE } from "../operations/wire.js";

/** What a status means when whoever answered is no hub, or a newer one with a code that this build does not know. */
const CODE_OF_STATUS: Readonly<Record<number, CortexErrorCode>> = {
  400: "BAD_REQUEST",
  401: "UNAUTHENTICATED",
  403: "POLICY_DENIED",
  404: "NOT_FOUND",
  408: "TIMED_OUT",
  410: "PAST_RETENTION",
  412: "PRECONDITION_FAILED",
  413: "TOO_LARGE",
  429: "QUOTA_EXCEEDED",
  501: "NOT_SUPPORTED",
  502: "UNAVAILABLE",
  503: "UNAVAILABLE",
  504: "TIMED_OUT",
  507: "STORAGE_FULL",
};

/** Reads an answer that is no success. Takes its body. */
export async function toProblemError(response: Response): Promise<CortexError> {
  const { status } = response;
  if (response.headers.get("content-type")?.startsWith(PROBLEM_TYPE) !== true) {
    await response.body?.cancel();
    return new CortexError(codeOfStatus(status), `answered with status ${status}, not by a hub`);
  }
  return parseProblem(await response.text(), status);
}

/** Reads a problem document. */
export function parseProblem(text: string, status = 500): CortexError {
  const problem = problemResource.safeParse(parseJson(text));
  if (problem.success) return toError(problem.data);
  return new CortexError(codeOfStatus(status), `answered with status ${status} and a problem that cannot be read`);
}

function toError(problem: Problem): CortexError {
  const { code, detail, details = {}, status } = problem;
  // The document names the answer in the hub's log.
  const options = { details, cause: problem };
  if (isCortexErrorCode(code)) return new CortexError(code, detail, options);
  return new CortexError(codeOfStatus(status), detail, { ...options, details: { ...details, code } });
}

function codeOfStatus(status: number): CortexErrorCode {
  return CODE_OF_STATUS[status] ?? (status >= 500 ? "INTERNAL" : "BAD_REQUEST");
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // no document
  }
}
