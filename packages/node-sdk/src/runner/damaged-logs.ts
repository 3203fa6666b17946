/**
 * Keeps copies of damaged logs for the operator, in `SPOOL/damaged/<taskId>.<attempt>/`.
 *
 * Bounded: the oldest go first. Nothing here fails: a node without room for a copy works on without it.
 */
import { copyFile, mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, join } from "node:path";

/** Copies that are kept, in bytes of all files. */
export const MAX_DAMAGED_BYTES: number = 64 * 1024 * 1024;
/** Logs of which copies are kept. */
export const MAX_DAMAGED_LOGS = 16;

const DIRECTORY = "damaged";

/** The copies of one spool. */
export interface DamagedLogs {
  /** Copies a file of a log. */
  keepFile(name: string, path: string): Promise<void>;
  /** Moves a whole log out of the way; gives how many bytes it has. @throws when it stays where it is. */
  moveAside(name: string): Promise<number>;
}

/** Makes the keeper of a spool. */
export function createDamagedLogs(spoolPath: string): DamagedLogs {
  const root = join(spoolPath, DIRECTORY);
  return {
    async keepFile(name, path) {
      try {
        const { size } = await stat(path);
        await makeRoom(root, { name, sizeBytes: size });
        await mkdir(join(root, name), { recursive: true, mode: 0o700 });
        if (size <= MAX_DAMAGED_BYTES) await copyFile(path, join(root, name, basename(path)));
      } catch {
        // No room, or not readable: the copy is a help and not a promise.
      }
    },
    async moveAside(name) {
      const from = join(spoolPath, name);
      const sizeBytes = await sizeOf(from);
      await mkdir(root, { recursive: true, mode: 0o700 });
      await rm(join(root, name), { recursive: true, force: true });
      await rename(from, join(root, name));
      // Its own copy is the newest and stays until the next one comes; older ones that cannot be removed go then.
      await makeRoom(root, { name, sizeBytes: 0 }).catch(() => {});
      return sizeBytes;
    },
  };
}

/** Removes the oldest copies until one more fits. */
async function makeRoom(root: string, wanted: { readonly name: string; readonly sizeBytes: number }): Promise<void> {
  const kept = await Promise.all(
    (await namesIn(root)).map(async (name) => {
      const path = join(root, name);
      return { name, path, sizeBytes: await sizeOf(path), changedAtMs: (await stat(path)).mtimeMs };
    }),
  );
  const others = kept.filter(({ name }) => name !== wanted.name).sort((a, b) => a.changedAtMs - b.changedAtMs);
  let sizeBytes = wanted.sizeBytes + kept.reduce((sum, copy) => sum + copy.sizeBytes, 0);
  for (const [index, copy] of others.entries()) {
    if (others.length - index < MAX_DAMAGED_LOGS && sizeBytes <= MAX_DAMAGED_BYTES) return;
    await rm(copy.path, { recursive: true, force: true });
    sizeBytes -= copy.sizeBytes;
  }
}

async function sizeOf(directory: string): Promise<number> {
  let sizeBytes = 0;
  for (const name of await namesIn(directory)) sizeBytes += (await stat(join(directory, name))).size;
  return sizeBytes;
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch {
    // Not there yet.
    return [];
  }
}
