/** How the program ends: exit statuses after sysexits(3), and the error that carries one. */
import { type CortexErrorCode, isCortexError, toPrintable, withoutSecrets } from "@cortex-mesh/protocol";

/** Exit statuses of `cortex-hub`. */
export const EXIT = {
  ok: 0,
  failed: 1,
  /** The command line is wrong. */
  usage: 64,
  /** The configuration file or environment is wrong. */
  badConfiguration: 65,
  /** An address is taken, or no hub answers. */
  unavailable: 69,
  /** A fault of the program itself. */
  internal: 70,
  /** The data directory cannot be written, is damaged, or belongs to another hub. */
  dataUnusable: 73,
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
  UNAVAILABLE: EXIT.unavailable,
  BAD_NAME: EXIT.failed,
  BAD_REQUEST: EXIT.usage,
  POLICY_DENIED: EXIT.badConfiguration,
  NOT_FOUND: EXIT.failed,
  STATE_IN_USE: EXIT.dataUnusable,
  DATA_CORRUPT: EXIT.dataUnusable,
  STORAGE_FULL: EXIT.dataUnusable,
  NOT_SUPPORTED: EXIT.dataUnusable,
};

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
  if (isCortexError(error)) return STATUS_OF_CODE[error.code] ?? EXIT.internal;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (UNUSABLE_FILE_CODES.has(code)) return EXIT.dataUnusable;
  if (code === "EADDRINUSE" || code === "EADDRNOTAVAIL") return EXIT.unavailable;
  return EXIT.internal;
}

/** What to tell a person of a caught value, less secrets and what steers a terminal; a fault of the program comes with its stack. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return toPrintable(withoutSecrets(String(error)));
  const isFault = exitStatusOf(error) === EXIT.internal;
  const text = withoutSecrets(isFault ? (error.stack ?? error.message) : error.message);
  return isFault ? text.split("\n").map(toPrintable).join("\n") : toPrintable(text);
}
