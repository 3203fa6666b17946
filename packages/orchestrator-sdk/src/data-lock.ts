/**
 * One hub a data directory: a lock of the operating system, which ends with the process however that ends.
 *
 * The lock is SQLite's on the file `lock`, held by a transaction that stays open; nothing is ever written there.
 */
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import Database from "libsql";
import { CortexError } from "@cortex-mesh/protocol";

/** A held lock of a data directory. */
export interface DataLock {
  /** Gives it up. Idempotent. */
  release(): void;
}

/**
 * Takes the lock of a data directory that exists. {@link createHub} does so by itself; a program that opens something
 * else in the directory takes it first and hands it over.
 *
 * @throws CortexError `STATE_IN_USE` when another hub has it, in this process or another.
 */
export function takeDataLock(directory: string): DataLock {
  const path = join(directory, "lock");
  // Made by us and not by the driver, so that it is private from the first moment.
  closeSync(openSync(path, "a", 0o600));
  const database = new Database(path, { timeout: 0 });
  try {
    database.exec("begin exclusive");
  } catch (error) {
    database.close();
    if ((error as { readonly code?: unknown }).code !== "SQLITE_BUSY") throw error;
    const message = `${directory} is in use by another hub; each hub needs its own data directory`;
    throw new CortexError("STATE_IN_USE", message, { details: { directory }, cause: error });
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
