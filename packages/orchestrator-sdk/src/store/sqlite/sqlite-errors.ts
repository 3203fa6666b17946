/** Translates what SQLite reports into the errors of Cortex. */
import { CortexError, type CortexErrorCode, isCortexError } from "@cortex-mesh/protocol";

/** Primary result codes with a meaning of their own; an extended code starts with one of them. */
const CODES: readonly (readonly [prefix: string, code: CortexErrorCode, text: string])[] = [
  ["SQLITE_FULL", "STORAGE_FULL", "the disk is full; nothing was written to"],
  ["SQLITE_CORRUPT", "DATA_CORRUPT", "the database is damaged:"],
  ["SQLITE_NOTADB", "DATA_CORRUPT", "not a database:"],
  ["SQLITE_BUSY", "UNAVAILABLE", "another process holds the database"],
  ["SQLITE_LOCKED", "UNAVAILABLE", "another process holds the database"],
];

/** Gives `error` as a CortexError that names the database file; what is unknown becomes `INTERNAL`. */
export function toSqliteStoreError(error: unknown, file: string): CortexError {
  if (isCortexError(error)) return error;
  const sqliteCode = codeOf(error);
  const message = error instanceof Error ? error.message : String(error);
  const [, code, text] = CODES.find(([prefix]) => sqliteCode.startsWith(prefix)) ?? [
    "",
    "INTERNAL",
    "the database failed:",
  ];
  return new CortexError(code, `${text} ${file} (${message})`, { cause: error, details: { file, sqliteCode } });
}

function codeOf(error: unknown): string {
  if (typeof error !== "object" || error === null || !("code" in error)) return "";
  return typeof error.code === "string" ? error.code : "";
}
