/**
 * Reads one segment from end to end and says how much of it holds. It changes nothing.
 */

import type { LogFile } from "./log-files.js";
import { createOffsetIndex, type RecordPlace } from "./offset-index.js";
import { MAX_RECORD_BYTES } from "./record.js";
import { decodeRecord, findRecord, RECORD_HEADER_BYTES } from "./record-codec.js";
import type { StoredSegment } from "./segment-file.js";
import { decodeSegmentHeader, SEGMENT_HEADER_BYTES } from "./segment-header.js";
import { readFully } from "./segment-read.js";

/** Bytes read at a time. */
const SCAN_BYTES: number = 1024 * 1024;

/** Longest record on disk, in bytes. */
const LONGEST_RECORD_BYTES: number = RECORD_HEADER_BYTES + MAX_RECORD_BYTES;

/** A segment and how much of it holds. */
export interface SegmentScan {
  readonly sizeBytes: number;
  /** The salt; `undefined` when the header does not hold, and then nothing else is looked at. */
  readonly salt: number | undefined;
  /** Whether the header never reached the disk: fewer bytes than a header, or a header of zeros. */
  readonly isHeaderAbsent: boolean;
  /** The part that holds. */
  readonly stored: StoredSegment;
}

/** Scans a segment from its start to its end or to the first record that does not hold. */
export async function scanSegment(file: LogFile, firstSeq: number): Promise<SegmentScan> {
  const sizeBytes = (await file.stat()).size;
  const head = await readPart(file, 0, Math.min(sizeBytes, SEGMENT_HEADER_BYTES));
  const header = decodeSegmentHeader(head);
  const index = createOffsetIndex();
  if (header === undefined || header.firstSeq !== firstSeq) {
    const isHeaderAbsent = sizeBytes < SEGMENT_HEADER_BYTES || head.every((byte) => byte === 0);
    return { sizeBytes, salt: undefined, isHeaderAbsent, stored: { endBytes: 0, lastSeq: firstSeq - 1, index } };
  }
  const { salt } = header;
  let place: RecordPlace = { seq: firstSeq, offset: SEGMENT_HEADER_BYTES };
  let isIntact = true;
  while (isIntact && place.offset < sizeBytes) {
    const buffer = await readPart(
      file,
      place.offset,
      Math.min(sizeBytes - place.offset, SCAN_BYTES + LONGEST_RECORD_BYTES),
    );
    const startOffset = place.offset;
    place = countRecords(buffer, { salt, from: place, onRecord: index.add });
    isIntact = place.offset > startOffset;
  }
  const stored = { endBytes: place.offset, lastSeq: place.seq - 1, index };
  return { sizeBytes, salt, isHeaderAbsent: false, stored };
}

/** Whether a valid record starts at or after `offset`: then what is wrong at `offset` is damage and not an unfinished write. */
export async function hasRecordFrom(file: LogFile, scan: SegmentScan, offset: number): Promise<boolean> {
  if (scan.salt === undefined) return false;
  for (let at = offset; at < scan.sizeBytes; at += SCAN_BYTES) {
    // Overlapping reads: a record that starts in one part may end in the next.
    const buffer = await readPart(file, at, Math.min(scan.sizeBytes - at, SCAN_BYTES + LONGEST_RECORD_BYTES));
    if (findRecord(buffer, 0, scan.salt) !== undefined) return true;
  }
  return false;
}

interface RecordCount {
  readonly salt: number;
  readonly from: RecordPlace;
  readonly onRecord: (seq: number, offset: number) => void;
}

/** Passes over the records that are whole and valid; gives the place where that ends. */
function countRecords(buffer: Buffer, { salt, from, onRecord }: RecordCount): RecordPlace {
  let { seq } = from;
  let at = 0;
  for (;;) {
    const decoded = decodeRecord(buffer, at, salt);
    if (decoded.status !== "ok" || decoded.record.seq !== seq) return { seq, offset: from.offset + at };
    onRecord(seq, from.offset + at);
    at = decoded.endOffset;
    seq += 1;
  }
}

async function readPart(file: LogFile, offset: number, lengthBytes: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(lengthBytes);
  const filledBytes = await readFully(file, buffer, offset);
  return buffer.subarray(0, filledBytes);
}
