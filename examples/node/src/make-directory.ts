/**
 * Making a directory with its parents, private to its user.
 *
 * Step by step: the recursive `mkdir` of Node never returns below a directory that answers "not found" to every name,
 * as /proc does.
 */
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";

/** Makes `path` (mode 0700) and what is missing above it. @throws the system's error when it cannot be made. */
export function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return;
    if (code !== "ENOENT" || dirname(path) === path) throw error;
    makeDirectory(dirname(path));
    mkdirSync(path, { mode: 0o700 });
  }
}
