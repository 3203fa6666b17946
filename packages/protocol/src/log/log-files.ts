/**
 * The file operations a segment log needs, as a value that is passed in.
 *
 * Not a file system: just the calls whose order and failures decide what survives a crash, so that a test can watch and
 * break them. Files are private to the owner (0600, directories 0700), since output may hold secrets.
 */

import { constants } from "node:fs";
import { mkdir, open, readdir, rmdir, unlink } from "node:fs/promises";
import { dirname } from "node:path";

/** An open file. A `FileHandle` of `node:fs/promises` is one. */
export interface LogFile {
  /** Writes at `position`; may write less than all. */
  writev(buffers: readonly Uint8Array[], position: number): Promise<{ readonly bytesWritten: number }>;
  /** Reads into `buffer` from `position`; may read less than all, 0 at the end of the file. */
  read(
    buffer: Uint8Array,
    range: { readonly offset: number; readonly length: number; readonly position: number },
  ): Promise<{ readonly bytesRead: number }>;
  /** How large it is. */
  stat(): Promise<{ readonly size: number }>;
  /** Cuts it to a size. */
  truncate(sizeBytes: number): Promise<void>;
  /** Resolves once content and length are on disk. */
  datasync(): Promise<void>;
  /** Gives the descriptor back. */
  close(): Promise<void>;
}

/** Where a log keeps its files. */
export interface LogFiles {
  /** Names in a directory; empty when there is no such directory. */
  list(directory: string): Promise<readonly string[]>;
  /** Makes a directory with its parents; gives the directories whose entries changed and want a sync. */
  makeDirectory(directory: string): Promise<readonly string[]>;
  /** Opens for reading and writing; `create` makes the file where there is none. */
  open(path: string, mode: "create" | "existing"): Promise<LogFile>;
  /** Removes a file; one that is gone already is no error. */
  remove(path: string): Promise<void>;
  /** Removes a directory if it is there and empty. */
  removeDirectory(directory: string): Promise<void>;
  /** Resolves once the names in the directory are on disk. */
  syncDirectory(directory: string): Promise<void>;
}

/** Files of this machine. */
export const nodeLogFiles: LogFiles = {
  list: (directory) => unlessCode(readdir(directory), { codes: ["ENOENT"], fallback: [] }),
  async makeDirectory(directory) {
    const firstMade = await mkdir(directory, { recursive: true, mode: 0o700 });
    return firstMade === undefined ? [] : parentsBetween(directory, firstMade);
  },
  async open(path, mode) {
    const flags = mode === "create" ? constants.O_RDWR | constants.O_CREAT : constants.O_RDWR;
    return await open(path, flags, 0o600);
  },
  remove: (path) => unlessCode(unlink(path), { codes: ["ENOENT"], fallback: undefined }),
  removeDirectory: (directory) =>
    unlessCode(rmdir(directory), { codes: ["ENOENT", "ENOTEMPTY", "EEXIST"], fallback: undefined }),
  async syncDirectory(directory) {
    // Windows cannot open a directory for a sync; its journal keeps names without one.
    if (process.platform === "win32") return;
    const handle = await open(directory, constants.O_RDONLY);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
};

/** The `code` of a system error; `undefined` for any other value. */
export function systemErrorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

function parentsBetween(directory: string, firstMade: string): string[] {
  const parents: string[] = [];
  for (let at = directory; at.length >= firstMade.length; at = dirname(at)) {
    parents.push(dirname(at));
    if (at === dirname(at)) break;
  }
  return parents;
}

async function unlessCode<T>(result: Promise<T>, otherwise: { codes: readonly string[]; fallback: T }): Promise<T> {
  try {
    return await result;
  } catch (error) {
    if (otherwise.codes.includes(systemErrorCode(error) ?? "")) return otherwise.fallback;
    throw error;
  }
}
