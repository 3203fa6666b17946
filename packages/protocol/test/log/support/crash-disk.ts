/**
 * A disk in memory that a test can look at and change, and that can lose power: what was not synced may be gone.
 *
 * Content of a file survives up to its last sync, and any prefix of what was written after. Names change in order, as in
 * a file system with a journal: a crash keeps all changes up to the last directory sync, and any prefix of the later.
 */

import type { LogFile, LogFiles } from "../../../src/log/log-files.js";

interface DiskFile {
  live: Buffer;
  synced: Buffer;
}

interface NameChange {
  readonly path: string;
  readonly file: DiskFile | undefined;
}

/** A disk and its power switch. */
export interface CrashDisk {
  /** The file operations of one process; all of them fail once the power was lost. */
  start(): LogFiles;
  /** Loses power; `random(n)` gives an integer from 0 to n and decides what survives. */
  crash(random: (max: number) => number): void;
  /** Paths of all files, sorted. */
  paths(): string[];
  /** A copy of a file's content. */
  read(path: string): Buffer;
  /** Puts a file in place, synced. */
  write(path: string, content: Uint8Array): void;
  /** Takes a file away, synced. */
  remove(path: string): void;
}

/** Makes an empty disk. */
export function createCrashDisk(): CrashDisk {
  let live = new Map<string, DiskFile>();
  let synced = new Map<string, DiskFile>();
  let changes: NameChange[] = [];
  let powerCycle = 0;

  const change = (path: string, file: DiskFile | undefined): void => {
    changes.push({ path, file });
    applyChange(live, { path, file });
  };
  const openFile = (path: string, mode: "create" | "existing"): DiskFile => {
    const found = live.get(path);
    if (found !== undefined) return found;
    if (mode === "existing") throw Object.assign(new Error("ENOENT"), { code: "ENOENT" });
    const made = { live: Buffer.alloc(0), synced: Buffer.alloc(0) };
    change(path, made);
    return made;
  };
  const syncNames = (): void => {
    for (const made of changes) applyChange(synced, made);
    changes = [];
  };
  return {
    start() {
      const startedIn = powerCycle;
      const powered: Powered = async (run) => {
        await Promise.resolve();
        if (startedIn !== powerCycle) throw new Error("the power is off");
        return run();
      };
      return {
        list: (directory) => powered(() => [...live.keys()].map((path) => path.slice(directory.length + 1))),
        makeDirectory: (directory) => powered(() => [directory]),
        open: (path, mode) => powered(() => openDiskFile(openFile(path, mode), powered)),
        remove: (path) => powered(() => change(path, undefined)),
        removeDirectory: () => powered(() => undefined),
        syncDirectory: () => powered(syncNames),
      };
    },
    crash(random) {
      powerCycle += 1;
      for (const made of changes.slice(0, random(changes.length))) applyChange(synced, made);
      changes = [];
      for (const file of new Set(synced.values())) loseUnsynced(file, random);
      live = new Map(synced);
    },
    paths: () => [...live.keys()].sort(),
    read: (path) => Buffer.from(live.get(path)?.live ?? []),
    write(path, content) {
      change(path, { live: Buffer.from(content), synced: Buffer.from(content) });
      syncNames();
    },
    remove(path) {
      change(path, undefined);
      syncNames();
    },
  };
}

type Powered = <T>(run: () => T) => Promise<T>;

function loseUnsynced(file: DiskFile, random: (max: number) => number): void {
  const keptBytes = Math.min(file.synced.byteLength, file.live.byteLength);
  const survivor = file.live.subarray(0, keptBytes + random(file.live.byteLength - keptBytes));
  file.synced = Buffer.from(survivor);
  file.live = Buffer.from(survivor);
}

function applyChange(names: Map<string, DiskFile>, { path, file }: NameChange): void {
  if (file === undefined) names.delete(path);
  else names.set(path, file);
}

function openDiskFile(file: DiskFile, powered: Powered): LogFile {
  return {
    writev: (buffers, position) =>
      powered(() => {
        const written = Buffer.concat(buffers);
        const grown = Buffer.alloc(Math.max(file.live.byteLength, position + written.byteLength));
        file.live.copy(grown);
        written.copy(grown, position);
        file.live = grown;
        return { bytesWritten: written.byteLength };
      }),
    read: (buffer, { offset, length, position }) =>
      powered(() => ({
        bytesRead: file.live.copy(buffer, offset, position, Math.min(position + length, file.live.length)),
      })),
    stat: () => powered(() => ({ size: file.live.byteLength })),
    truncate: (sizeBytes) =>
      powered(() => {
        file.live = Buffer.from(file.live.subarray(0, sizeBytes));
      }),
    datasync: () =>
      powered(() => {
        file.synced = Buffer.from(file.live);
      }),
    close: async () => undefined,
  };
}
