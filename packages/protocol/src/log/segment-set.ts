/**
 * The segments of one log in their order: adds one at the end, removes acknowledged ones from the start.
 *
 * Invariants:
 * - (S1) a segment is synced before the next one is made, and the next one's name is on disk before its first record;
 * - (S2) segments are removed oldest first, and never the newest, so what is left has no new hole and keeps the numbering.
 */

import { CortexError } from "../errors.js";
import type { LogFiles } from "./log-files.js";
import type { SegmentFile } from "./segment-file.js";
import { createSegmentFile } from "./segment-file.js";

/** Where the segments are, and what is there already. */
export interface SegmentSetOptions {
  readonly files: LogFiles;
  readonly directory: string;
  /** A 32-bit number nobody can guess, for the checksums of a new segment. */
  readonly createSalt: () => number;
  /** Oldest first. */
  readonly segments: readonly SegmentFile[];
  /** Called after a segment was removed. */
  readonly onDrop: () => void;
}

/** The segments of one log. `add` and `sync` are called one at a time. */
export interface SegmentSet {
  readonly newest: SegmentFile | undefined;
  /** First record that is still on disk; `undefined` while there is no segment. */
  readonly firstSeq: number | undefined;
  /** Bytes of all segments. */
  readonly sizeBytes: number;
  /** The segment that holds a record, if it is on disk. */
  find(seq: number): SegmentFile | undefined;
  /** The first record that is on disk in a later segment than `seq` would be; `undefined` when there is none. */
  findNext(seq: number): number | undefined;
  /** Makes the next segment (S1). Rejects with the system's error when it cannot be made. */
  add(firstSeq: number): Promise<SegmentFile>;
  /**
   * Resolves once all segments and their names are on disk.
   *
   * @throws CortexError `INTERNAL`; what is on disk is unknown then.
   */
  sync(): Promise<void>;
  /** Starts removing segments that end at or before `seq` (S2); what cannot be removed is tried again next time. */
  drop(seq: number): void;
  /** Ends what is being removed and closes all files. */
  close(): Promise<void>;
  /** Removes every segment, and the directory if nothing else is in it. */
  removeAll(): Promise<void>;
}

/** Makes the set; nothing is opened or made before it is needed. */
export function createSegmentSet(options: SegmentSetOptions): SegmentSet {
  const set = createSetState(options);
  const { segments } = set;
  return {
    get newest() {
      return segments.at(-1);
    },
    get firstSeq() {
      return segments[0]?.firstSeq;
    },
    get sizeBytes() {
      return set.sealedBytes + (segments.at(-1)?.endBytes ?? 0);
    },
    find: (seq) => segments.findLast((segment) => segment.firstSeq <= seq && seq <= segment.lastSeq),
    findNext: (seq) =>
      segments.find((segment) => segment.firstSeq > seq && segment.lastSeq >= segment.firstSeq)?.firstSeq,
    add: (firstSeq) => addSegment(set, firstSeq),
    sync: () => syncAll(set),
    drop(seq) {
      set.droppableSeq = seq;
      startDropping(set);
    },
    async close() {
      await set.dropping;
      set.isClosed = true;
      for (const segment of segments) await segment.release();
    },
    async removeAll() {
      set.isClosed = true;
      await set.dropping;
      for (let oldest = segments[0]; oldest !== undefined; oldest = segments[0]) {
        await oldest.remove();
        segments.shift();
      }
      await options.files.removeDirectory(options.directory);
    },
  };
}

interface SetState {
  readonly options: SegmentSetOptions;
  readonly segments: SegmentFile[];
  readonly unsyncedDirectories: Set<string>;
  /** Bytes of all segments but the newest. */
  sealedBytes: number;
  droppableSeq: number;
  dropping: Promise<void> | undefined;
  isClosed: boolean;
}

function createSetState(options: SegmentSetOptions): SetState {
  const segments = [...options.segments];
  const sealedBytes = segments.slice(0, -1).reduce((sum, segment) => sum + segment.endBytes, 0);
  return {
    options,
    segments,
    // The process that made the newest segment may have ended before it synced the name.
    unsyncedDirectories: new Set(segments.length > 0 ? [options.directory] : []),
    sealedBytes,
    droppableSeq: 0,
    dropping: undefined,
    isClosed: false,
  };
}

async function addSegment(set: SetState, firstSeq: number): Promise<SegmentFile> {
  const { files, directory, createSalt } = set.options;
  const previous = set.segments.at(-1);
  if (previous === undefined) {
    for (const name of await files.makeDirectory(directory)) set.unsyncedDirectories.add(name);
  } else {
    await orLost(directory, previous.sync());
  }
  const segment = createSegmentFile({ files, directory, firstSeq, salt: createSalt() });
  await segment.create();
  set.unsyncedDirectories.add(directory);
  if (previous !== undefined) {
    // Only a segment that is in the list may be closed by `close`, and only one whose name is on disk is listed (S2).
    await orLost(directory, syncDirectories(set)).catch(async (error: unknown) => {
      await segment.release();
      throw error;
    });
    await previous.release();
    set.sealedBytes += previous.endBytes;
  }
  set.segments.push(segment);
  startDropping(set);
  return segment;
}

async function syncAll(set: SetState): Promise<void> {
  const { directory } = set.options;
  const newest = set.segments.at(-1);
  if (newest !== undefined) await orLost(directory, newest.sync());
  await orLost(directory, syncDirectories(set));
}

async function syncDirectories(set: SetState): Promise<void> {
  for (const directory of set.unsyncedDirectories) {
    await set.options.files.syncDirectory(directory);
    set.unsyncedDirectories.delete(directory);
  }
}

/** A failed sync is not tried again: the system may count the lost pages as written. */
async function orLost(directory: string, syncing: Promise<void>): Promise<void> {
  try {
    await syncing;
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : String(cause);
    const message = `the log in ${directory} cannot be synced: ${problem}`;
    throw new CortexError("INTERNAL", message, { cause, details: { directory } });
  }
}

function startDropping(set: SetState): void {
  if (findDroppable(set) !== undefined) set.dropping ??= dropSegments(set);
}

function findDroppable(set: SetState): SegmentFile | undefined {
  const [oldest, ...later] = set.segments;
  if (oldest === undefined || later.length === 0 || set.isClosed) return undefined;
  return oldest.lastSeq <= set.droppableSeq ? oldest : undefined;
}

async function dropSegments(set: SetState): Promise<void> {
  await Promise.resolve();
  try {
    for (let oldest = findDroppable(set); oldest !== undefined; oldest = findDroppable(set)) {
      await oldest.remove();
      set.segments.shift();
      set.sealedBytes -= oldest.endBytes;
      set.options.onDrop();
    }
  } catch {
    // The segment stays and still counts; the next acknowledgement tries again.
  } finally {
    set.dropping = undefined;
  }
}
