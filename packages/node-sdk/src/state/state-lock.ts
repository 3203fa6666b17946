/**
 * One process a state directory: a lock of the operating system, which ends with the process however that ends.
 *
 * The lock is SQLite's on the file `lock`, held by a transaction that stays open; nothing is ever written there.
 */
import { join } from "node:path";
import Database from "libsql";
import { CortexError } from "@cortex-mesh/protocol";

/** A held lock. */
export interface StateLock {
  /** Gives it up. Idempotent. */
  release(): void;
}

/**
 * Takes the lock of a state directory that exists.
 *
 * @throws CortexError `STATE_IN_USE` when another process, or another node of this one, holds it.
 */
export function takeStateLock(directory: string): StateLock {
  const database = new Database(join(directory, "lock"), { timeout: 0 });
  try {
    database.exec("begin exclusive");
  } catch (error) {
    database.close();
    if ((error as { readonly code?: unknown }).code !== "SQLITE_BUSY") throw error;
    throw new CortexError("STATE_IN_USE", `${directory} is in use by another node; each node needs its own`, {
      details: { directory },
      cause: error,
    });
  }
  let isReleased = false;
  return {
    release() {
      if (isReleased) return;
      isReleased = true;
      database.close();
    },
  };
}
