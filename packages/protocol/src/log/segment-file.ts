/**
 * One file of a segment log: a header, then records without gaps.
 *
 * Writing goes to a known offset, so a write that failed half way is simply written over; it is cut off at once for the
 * case that the process ends before.
 *
 * `create`, `write`, `sync` and `remove` are called one at a time. Reads may run beside them and see whole records only.
 */

import { join } from "node:path";
import type { LogFile, LogFiles } from "./log-files.js";
import { createOffsetIndex, type OffsetIndex, type RecordPlace } from "./offset-index.js";
import type { LogRecord } from "./record.js";
import { encodeRecords, recordSizeBytes } from "./record-codec.js";
import { encodeSegmentHeader, SEGMENT_HEADER_BYTES, segmentName } from "./segment-header.js";
import { readSegment } from "./segment-read.js";
import type { SharedHandle } from "./shared-handle.js";
import { createSharedHandle } from "./shared-handle.js";

/** What is known of a segment on disk. */
export interface StoredSegment {
  /** Length of header and valid records, in bytes; 0 when not even the header is there. */
  readonly endBytes: number;
  /** Last valid record; `firstSeq - 1` when there is none. */
  readonly lastSeq: number;
  readonly index: OffsetIndex;
}

/** Where a segment lives and what is in it already. */
export interface SegmentFileOptions {
  readonly files: LogFiles;
  readonly directory: string;
  readonly firstSeq: number;
  /** Start value of the checksums; the stored one when the segment has a header. */
  readonly salt: number;
  /** What a scan found; left out for a segment that is not on disk. */
  readonly stored?: StoredSegment;
}

/** Which records to read. */
export interface RecordRange {
  readonly afterSeq: number;
  readonly throughSeq: number;
  /** Bytes on disk, headers included; one record is given even when it alone is larger. */
  readonly maxBytes: number;
}

/** One file of a log. */
export interface SegmentFile {
  readonly firstSeq: number;
  readonly path: string;
  /** Last record written; `firstSeq - 1` while empty. */
  readonly lastSeq: number;
  /** Bytes written, header included. */
  readonly endBytes: number;
  /** Makes the file, empty; harmless when it is there. */
  create(): Promise<void>;
  /** Writes records at the end. When it rejects, none of them is in the file. */
  write(records: readonly LogRecord[]): Promise<void>;
  /** Resolves once everything written before the call is on disk. */
  sync(): Promise<void>;
  /** Reads records in order, at least one if there is one in the range. */
  read(range: RecordRange): Promise<LogRecord[]>;
  /** Closes the file as soon as nobody uses it; the next use opens it again. */
  release(): Promise<void>;
  remove(): Promise<void>;
}

/** Gives access to a segment; nothing is opened or made before it is needed. */
export function createSegmentFile(options: SegmentFileOptions): SegmentFile {
  const segment = createSegmentState(options);
  const { path, handle } = segment;
  return {
    firstSeq: segment.firstSeq,
    path,
    get lastSeq() {
      return segment.lastSeq;
    },
    get endBytes() {
      return segment.endBytes;
    },
    create: () => handle.use(async () => undefined),
    write(records) {
      segment.isSynced = false;
      return handle.use((file) => writeAtEnd(segment, file, records));
    },
    async sync() {
      if (segment.isSynced || segment.endBytes === 0) return;
      await handle.use((file) => file.datasync());
      segment.isSynced = true;
    },
    async read(range) {
      if (range.afterSeq >= segment.lastSeq) return [];
      const source = { path, salt: segment.salt, endBytes: segment.endBytes };
      const from = findPlace(segment, range.afterSeq + 1);
      const part = await handle.use((file) => readSegment(file, source, { ...range, from }));
      segment.nextRead = part.next;
      return part.records;
    },
    release: () => handle.release(),
    async remove() {
      await handle.release();
      await options.files.remove(path);
    },
  };
}

interface SegmentState {
  readonly firstSeq: number;
  readonly salt: number;
  readonly path: string;
  readonly index: OffsetIndex;
  readonly handle: SharedHandle;
  lastSeq: number;
  endBytes: number;
  isSynced: boolean;
  /** Where the last read ended: a reader that goes on needs no search. */
  nextRead: RecordPlace;
}

function createSegmentState(options: SegmentFileOptions): SegmentState {
  const { files, firstSeq, salt, stored } = options;
  const path = join(options.directory, segmentName(firstSeq));
  const segment: SegmentState = {
    firstSeq,
    salt,
    path,
    index: stored?.index ?? createOffsetIndex(),
    // A reader that comes after `remove` must not make the file again.
    handle: createSharedHandle(() => files.open(path, segment.endBytes === 0 ? "create" : "existing")),
    lastSeq: stored?.lastSeq ?? firstSeq - 1,
    endBytes: stored?.endBytes ?? 0,
    // What a scan found may be in the page cache only, so it counts as unsynced.
    isSynced: false,
    nextRead: { seq: firstSeq, offset: SEGMENT_HEADER_BYTES },
  };
  return segment;
}

function findPlace(segment: SegmentState, seq: number): RecordPlace {
  if (segment.nextRead.seq === seq) return segment.nextRead;
  return segment.index.find(seq) ?? { seq: segment.firstSeq, offset: SEGMENT_HEADER_BYTES };
}

async function writeAtEnd(segment: SegmentState, file: LogFile, records: readonly LogRecord[]): Promise<void> {
  const { firstSeq, salt } = segment;
  const header = segment.endBytes === 0 ? encodeSegmentHeader({ firstSeq, salt }) : undefined;
  try {
    await writeFully(file, encodeRecords(records, salt, header), segment.endBytes);
  } catch (error) {
    // Best effort: the next write goes over what this leaves behind, and opening the log again cuts it.
    await file.truncate(segment.endBytes).catch(() => undefined);
    throw error;
  }
  segment.endBytes += header?.byteLength ?? 0;
  for (const record of records) {
    segment.index.add(record.seq, segment.endBytes);
    segment.endBytes += recordSizeBytes(record);
    segment.lastSeq = record.seq;
  }
}

async function writeFully(file: LogFile, buffers: readonly Uint8Array[], position: number): Promise<void> {
  let rest = buffers;
  let at = position;
  while (rest.length > 0) {
    const { bytesWritten } = await file.writev(rest, at);
    if (bytesWritten === 0) throw new Error("the file took no bytes");
    at += bytesWritten;
    rest = skipBytes(rest, bytesWritten);
  }
}

function skipBytes(buffers: readonly Uint8Array[], skippedBytes: number): Uint8Array[] {
  const rest: Uint8Array[] = [];
  let leftBytes = skippedBytes;
  for (const buffer of buffers) {
    if (leftBytes < buffer.byteLength) rest.push(leftBytes === 0 ? buffer : buffer.subarray(leftBytes));
    leftBytes = Math.max(0, leftBytes - buffer.byteLength);
  }
  return rest;
}
