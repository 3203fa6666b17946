/**
 * The state directory of a node on disk: lock, key, database, spool. Everything in it is private to the node's user.
 */
import { chmodSync, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { CortexError, isCortexError, type SigningKey } from "@cortex-mesh/protocol";
import { openKeyFile } from "./key-file.js";
import type { NodeState } from "./node-state.js";
import { openSqliteState } from "./sqlite-state.js";
import { takeStateLock } from "./state-lock.js";

/** An open state directory. */
export interface StateDirectory {
  /** Absolute. */
  readonly path: string;
  readonly key: SigningKey;
  readonly state: NodeState;
  /** Where output waits to be sent. */
  readonly spoolPath: string;
  /** Closes the state and gives up the lock. Idempotent. */
  close(): Promise<void>;
}

/**
 * Opens a state directory, or makes it.
 *
 * @throws CortexError `STATE_IN_USE` when another node uses it, or it cannot be written.
 */
export function openStateDirectory(directory: string): StateDirectory {
  const path = resolve(directory);
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    chmodSync(path, 0o700);
  } catch (error) {
    throw new CortexError("STATE_IN_USE", `the state directory ${path} cannot be used`, { cause: error });
  }
  const lock = takeStateLock(path);
  try {
    const key = openKeyFile(path);
    const state = openSqliteState(join(path, "node.db"));
    return {
      path,
      key,
      state,
      spoolPath: join(path, "spool"),
      async close() {
        await state.close();
        lock.release();
      },
    };
  } catch (error) {
    lock.release();
    if (isCortexError(error)) throw error;
    throw new CortexError("STATE_IN_USE", `the state directory ${path} cannot be used`, { cause: error });
  }
}
