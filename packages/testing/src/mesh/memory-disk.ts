/**
 * The disk of a machine in memory, for logs: a process that is killed keeps what it wrote, a power cut takes what was not
 * synced.
 *
 * Content of a file survives a power cut up to its last sync, and any prefix of what was written after. Names change in
 * order, as in a file system with a journal: a cut keeps all changes up to the last sync of a directory, and any prefix of
 * the later ones.
 */
import type { LogFile, LogFiles } from "@cortex-mesh/protocol/log";
import type { SeededRandom } from "../random.js";

/** Places at which a process can die: before the change is made, and after it, before anybody heard. */
export type DiskStep = "writing" | "written" | "syncing" | "synced" | "removing" | "removed";

/** A disk and its power switch. */
export interface MemoryDisk {
  /** The file operations of one process; none of them is answered once it is gone. */
  open(onStep?: (step: DiskStep) => void): DiskProcess;
  /** Takes what was not synced; the chance decides how much of it. */
  losePower(random: SeededRandom): void;
  readonly fileCount: number;
}

/** The files as one process uses them. */
export interface DiskProcess extends LogFiles {
  /** The process is gone. */
  end(): void;
}

interface DiskFile {
  content: Buffer;
  /** What a power cut leaves at least. */
  synced: Buffer;
}

interface NameChange {
  readonly path: string;
  readonly file: DiskFile | undefined;
}

interface Disk {
  live: Map<string, DiskFile>;
  synced: Map<string, DiskFile>;
  changes: NameChange[];
}

/** Makes an empty disk. */
export function createMemoryDisk(): MemoryDisk {
  const disk: Disk = { live: new Map(), synced: new Map(), changes: [] };
  return {
    open: (onStep = () => undefined) => openProcess(disk, onStep),
    losePower(random) {
      for (const change of disk.changes.slice(0, random.integer(disk.changes.length))) apply(disk.synced, change);
      disk.changes = [];
      for (const file of new Set(disk.synced.values())) loseUnsynced(file, random);
      disk.live = new Map(disk.synced);
    },
    get fileCount() {
      return disk.live.size;
    },
  };
}

/** Runs a change between two steps; stays unanswered when the process is gone at either. */
type Act = <T>(run: () => T, before?: DiskStep, after?: DiskStep) => Promise<T>;

function openProcess(disk: Disk, onStep: (step: DiskStep) => void): DiskProcess {
  let isGone = false;
  const act: Act = (run, before, after) =>
    new Promise((resolve, reject) => {
      queueMicrotask(() => {
        if (!isGone && before !== undefined) onStep(before);
        if (isGone) return;
        try {
          const result = run();
          if (after !== undefined) onStep(after);
          // A process that died at this step hears nothing.
          if (!isGone) resolve(result);
        } catch (error) {
          reject(error);
        }
      });
    });
  return {
    end() {
      isGone = true;
    },
    list: (directory) => act(() => namesIn(disk, directory)),
    makeDirectory: (directory) => act(() => [directory]),
    open: (path, mode) => act(() => openFile(findFile(disk, path, mode), act)),
    remove: (path) => act(() => change(disk, { path, file: undefined }), "removing", "removed"),
    removeDirectory: () => act(() => undefined),
    syncDirectory: () => act(() => syncNames(disk), "syncing", "synced"),
  };
}

/** Files and directories of a directory. */
function namesIn(disk: Disk, directory: string): readonly string[] {
  const prefix = `${directory}/`;
  const below = [...disk.live.keys()].filter((path) => path.startsWith(prefix));
  return [...new Set(below.map((path) => path.slice(prefix.length).split("/", 1)[0] ?? ""))];
}

function findFile(disk: Disk, path: string, mode: "create" | "existing"): DiskFile {
  const found = disk.live.get(path);
  if (found !== undefined) return found;
  if (mode === "existing") throw Object.assign(new Error(`there is no file ${path}`), { code: "ENOENT" });
  const file: DiskFile = { content: Buffer.alloc(0), synced: Buffer.alloc(0) };
  change(disk, { path, file });
  return file;
}

function openFile(file: DiskFile, act: Act): LogFile {
  return {
    writev: (buffers, position) =>
      act(
        () => {
          const written = Buffer.concat(buffers);
          const grown = Buffer.alloc(Math.max(file.content.byteLength, position + written.byteLength));
          file.content.copy(grown);
          written.copy(grown, position);
          file.content = grown;
          return { bytesWritten: written.byteLength };
        },
        "writing",
        "written",
      ),
    read: (buffer, { offset, length, position }) =>
      act(() => ({ bytesRead: file.content.subarray(position, position + length).copy(buffer, offset) })),
    stat: () => act(() => ({ size: file.content.byteLength })),
    truncate: (sizeBytes) =>
      act(() => {
        file.content = Buffer.from(file.content.subarray(0, sizeBytes));
      }),
    datasync: () =>
      act(
        () => {
          file.synced = file.content;
        },
        "syncing",
        "synced",
      ),
    close: () => Promise.resolve(),
  };
}

function change(disk: Disk, made: NameChange): void {
  disk.changes.push(made);
  apply(disk.live, made);
}

function syncNames(disk: Disk): void {
  for (const made of disk.changes) apply(disk.synced, made);
  disk.changes = [];
}

function apply(names: Map<string, DiskFile>, { path, file }: NameChange): void {
  if (file === undefined) names.delete(path);
  else names.set(path, file);
}

function loseUnsynced(file: DiskFile, random: SeededRandom): void {
  const keptBytes = Math.min(file.synced.byteLength, file.content.byteLength);
  const survivor = file.content.subarray(0, keptBytes + random.integer(file.content.byteLength - keptBytes));
  file.content = Buffer.from(survivor);
  file.synced = file.content;
}
