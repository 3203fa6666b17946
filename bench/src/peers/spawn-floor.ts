/** The floor of a short task: the same shell started the same way, and every fsync that its order on disk needs. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, fdatasyncSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { PeerMethods } from "./peer.js";

/** A page: the least that a database writes to make a change durable. */
const RECORD_BYTES = 4096;

/** One run of the floor, in milliseconds. */
export interface SpawnFloorSample {
  readonly spawnMs: number;
  readonly syncMs: number;
}

/** What one run of the floor does. */
export interface SpawnFloorRequest {
  readonly command: string;
  readonly syncs: number;
  readonly idleMs: number;
}

/** Makes the peer. */
export function createSpawnFloor(): PeerMethods {
  let descriptor: number | undefined;
  return {
    async start({ directory }: { readonly directory: string }) {
      descriptor = openSync(join(directory, "floor.log"), "a");
    },
    async sample({ command, syncs, idleMs }: SpawnFloorRequest): Promise<SpawnFloorSample> {
      if (descriptor === undefined) throw new Error("the floor was not started");
      await new Promise((resolve) => setTimeout(resolve, idleMs));
      const startedAtMs = performance.now();
      await runShell(command);
      const spawnedAtMs = performance.now();
      const record = Buffer.alloc(RECORD_BYTES, 1);
      for (let count = 0; count < syncs; count += 1) {
        writeSync(descriptor, record);
        fdatasyncSync(descriptor);
      }
      return { spawnMs: spawnedAtMs - startedAtMs, syncMs: performance.now() - spawnedAtMs };
    },
    close: async () => {
      if (descriptor !== undefined) closeSync(descriptor);
    },
  };
}

/** Starts the shell as the node's driver does, in a session of its own with both outputs piped, and waits for its end. */
async function runShell(command: string): Promise<void> {
  const child = spawn("bash", ["--noprofile", "--norc", "-c", command], {
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  child.stdout.resume();
  child.stderr.resume();
  const [exitCode] = (await once(child, "close")) as [number | null];
  if (exitCode !== 0) throw new Error(`the shell ended with ${exitCode}`);
}
