/** How a grant that does not hold is refused: by what failed, and never by the bytes. */
import { CortexError } from "../errors.js";

/** What a grant failed on; in `details.reason` of `GRANT_REFUSED`. */
export type GrantFault =
  | "type"
  | "size"
  | "signature"
  | "payload"
  | "unknown_field"
  | "critical"
  | "header"
  | "hub"
  | "node"
  | "nonce"
  | "epoch"
  | "not_yet_valid"
  | "expired"
  | "attempt"
  | "task"
  | "policy";

/** Makes the error; `problem` completes "the grant is refused: ". */
export function grantRefused(reason: GrantFault, problem: string, cause?: unknown): CortexError {
  return new CortexError("GRANT_REFUSED", `the grant is refused: ${problem}`, {
    details: { reason },
    ...(cause === undefined ? {} : { cause }),
  });
}
