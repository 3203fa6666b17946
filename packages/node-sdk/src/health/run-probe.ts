/**
 * Runs a program once to read what it says about itself: bounded in time and output, and it leaves nothing behind.
 *
 * For trusted, fixed command lines of the node itself; tasks run through a sandbox driver.
 */
import { spawn } from "node:child_process";
import type { Readable } from "node:stream";

/** More than any program says about its version. */
export const MAX_PROBE_OUTPUT_BYTES = 16 * 1024;

/** One program to ask. */
export interface Probe {
  /** Absolute path. */
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Ends the program, and with it the probe. */
  readonly signal: AbortSignal;
}

/** What the program printed, standard output before standard error; undefined when it failed or took too long. */
export function runProbe({ program, args, env, signal }: Probe): Promise<string | undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve(undefined);
    // A group of its own, since wrappers (version managers, shell scripts) start the real program as a child.
    const child = spawn(program, args, { env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
    const stdout = collect(child.stdout);
    const stderr = collect(child.stderr);
    const settle = (text: string | undefined): void => {
      signal.removeEventListener("abort", onAbort);
      resolve(text);
    };
    const onAbort = (): void => {
      killGroup(child.pid);
      child.stdout.destroy();
      child.stderr.destroy();
      settle(undefined);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    child.once("error", () => settle(undefined));
    child.once("close", (exitCode) => settle(exitCode === 0 ? stdout() + stderr() : undefined));
  });
}

/** Reads to the end and keeps the beginning. */
function collect(stream: Readable): () => string {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  stream.on("data", (chunk: Buffer) => {
    if (sizeBytes >= MAX_PROBE_OUTPUT_BYTES) return;
    chunks.push(chunk.subarray(0, MAX_PROBE_OUTPUT_BYTES - sizeBytes));
    sizeBytes += chunk.length;
  });
  return () => Buffer.concat(chunks).toString("utf8");
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It has ended meanwhile.
  }
}
