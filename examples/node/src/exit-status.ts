/** How the program ends: exit statuses after sysexits(3), and the error that carries one. */
import { type CortexErrorCode, isCortexError, toPrintable, withoutSecrets } from "@cortex-mesh/protocol";

/** Exit statuses of `cortex-node`. */
export const EXIT = {
  ok: 0,
  failed: 1,
  /** The command line is wrong. */
  usage: 64,
  /** The invite or the configuration is wrong. */
  badConfiguration: 65,
  /** The hub could not be reached in as many tries as were set; or no node answers on the control socket. */
  unavailable: 69,
  /** A fault of the program itself. */
  internal: 70,
  /** The state directory cannot be written, is damaged, or belongs to another node. */
  stateUnusable: 73,
  /** The hub refuses: the node was revoked, or the invite is used, expired or withdrawn. */
  refused: 77,
} as const;

/** Ends the program with a message for people and an exit status for scripts. */
export class ExitError extends Error {
  override readonly name: string = "ExitError";
  readonly exitStatus: number;

  constructor(exitStatus: number, message: string, options: ErrorOptions = {}) {
    super(message, options);
    this.exitStatus = exitStatus;
  }
}

const STATUS_OF_CODE: Partial<Record<CortexErrorCode, number>> = {
  BAD_NAME: EXIT.badConfiguration,
  BAD_REQUEST: EXIT.badConfiguration,
  NOT_SUPPORTED: EXIT.badConfiguration,
  UNAVAILABLE: EXIT.unavailable,
  TIMED_OUT: EXIT.unavailable,
  STATE_IN_USE: EXIT.stateUnusable,
  DATA_CORRUPT: EXIT.stateUnusable,
  STORAGE_FULL: EXIT.stateUnusable,
  INVITE_REFUSED: EXIT.refused,
  NODE_REVOKED: EXIT.refused,
  UNAUTHENTICATED: EXIT.refused,
  POLICY_DENIED: EXIT.refused,
  VERSION_UNSUPPORTED: EXIT.refused,
};

/** Reasons why a text is no invite; what the hub says of a good text has others. */
const UNREADABLE_INVITE = new Set<unknown>(["not_an_invite", "truncated", "altered", "newer_version"]);

const UNUSABLE_FILE_CODES = new Set([
  "EACCES",
  "ENOENT",
  "EPERM",
  "EROFS",
  "ENOTDIR",
  "EEXIST",
  "ENOSPC",
  "EDQUOT",
  "EISDIR",
]);

/** The exit status that a caught value stands for. */
export function exitStatusOf(error: unknown): number {
  if (error instanceof ExitError) return error.exitStatus;
  if (isCortexError(error)) {
    const isUnreadable = error.code === "INVITE_REFUSED" && UNREADABLE_INVITE.has(error.details["reason"]);
    return isUnreadable ? EXIT.badConfiguration : (STATUS_OF_CODE[error.code] ?? EXIT.internal);
  }
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return UNUSABLE_FILE_CODES.has(code) ? EXIT.stateUnusable : EXIT.internal;
}

/** What to tell a person of a caught value, less secrets and what steers a terminal; a fault of the program comes with its stack. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return toPrintable(withoutSecrets(String(error)));
  const isFault = exitStatusOf(error) === EXIT.internal;
  const text = withoutSecrets(isFault ? (error.stack ?? error.message) : error.message);
  return isFault ? text.split("\n").map(toPrintable).join("\n") : toPrintable(text);
}
