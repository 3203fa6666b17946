/**
 * Finds programs as a shell does: along a PATH, executable files only.
 */
import { accessSync, constants, statSync } from "node:fs";
import { isAbsolute, join } from "node:path";

/** The shell that runs a `command`. */
export interface Shell {
  readonly name: "bash" | "sh";
  /** Absolute path. */
  readonly path: string;
}

/** Absolute path of a program on `path`, undefined where there is none. Relative entries are not looked at. */
export function findProgram(name: string, path: string): string | undefined {
  for (const directory of path.split(":")) {
    if (!isAbsolute(directory)) continue;
    const candidate = join(directory, name);
    if (isExecutableFile(candidate)) return candidate;
  }
  return undefined;
}

/** Finds `bash`, else `sh`, on `path` or where systems keep them. */
export function findShell(path: string): Shell | undefined {
  const searched = `${path}:/bin:/usr/bin`;
  for (const name of ["bash", "sh"] as const) {
    const found = findProgram(name, searched);
    if (found !== undefined) return { name, path: found };
  }
  return undefined;
}

/** Whether `path` is a file that this process may execute. */
export function isExecutableFile(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    // Missing, or not ours to execute: not a program for us.
    return false;
  }
}
