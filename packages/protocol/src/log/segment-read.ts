/**
 * Reads records from one segment, checking every checksum and number on the way.
 *
 * What it is given to read was written whole, so anything that does not decode is damage, not a write in progress.
 */

import { CortexError } from "../errors.js";
import type { LogFile } from "./log-files.js";
import { INDEX_STEP_BYTES, type RecordPlace } from "./offset-index.js";
import type { LogRecord } from "./record.js";
import { decodeRecord, RECORD_HEADER_BYTES } from "./record-codec.js";

/** The stretch of a file that holds whole records. */
export interface SegmentSource {
  readonly path: string;
  readonly salt: number;
  /** Where the last record ends. */
  readonly endBytes: number;
}

/** Which records to read, and where to start looking. */
export interface SegmentRange {
  readonly afterSeq: number;
  readonly throughSeq: number;
  /** Bytes on disk, headers included; one record is given even when it alone is larger. */
  readonly maxBytes: number;
  readonly from: RecordPlace;
}

/** Records, and the place of the one after them. */
export interface SegmentPart {
  readonly records: LogRecord[];
  readonly next: RecordPlace;
}

/**
 * Reads records in order, at least one if there is one in the range.
 *
 * @throws CortexError `DATA_CORRUPT` with file, offset and record when stored bytes do not hold.
 */
export async function readSegment(file: LogFile, source: SegmentSource, range: SegmentRange): Promise<SegmentPart> {
  const isExactStart = range.from.seq > range.afterSeq;
  let wantedBytes = range.maxBytes + (isExactStart ? 0 : INDEX_STEP_BYTES) + RECORD_HEADER_BYTES;
  let from = range.from;
  for (;;) {
    const buffer = Buffer.allocUnsafeSlow(Math.min(source.endBytes - from.offset, wantedBytes));
    if ((await readFully(file, buffer, from.offset)) < buffer.byteLength) {
      throw damaged(source.path, from, "the file is too short");
    }
    const part = decodePart(buffer, source, { ...range, from });
    if (part.records.length > 0 || part.neededBytes === 0) return part;
    if (part.next.offset + part.neededBytes > source.endBytes) {
      throw damaged(source.path, part.next, "it would end outside the file");
    }
    from = part.next;
    wantedBytes = part.neededBytes;
  }
}

/** Reads until `target` is full or the file ends; gives the count of bytes read. */
export async function readFully(file: LogFile, target: Uint8Array, position: number): Promise<number> {
  let filledBytes = 0;
  while (filledBytes < target.byteLength) {
    const length = target.byteLength - filledBytes;
    const { bytesRead } = await file.read(target, { offset: filledBytes, length, position: position + filledBytes });
    if (bytesRead === 0) break;
    filledBytes += bytesRead;
  }
  return filledBytes;
}

/** The error for stored bytes that do not hold, named by their place. */
export function damaged(path: string, place: RecordPlace, problem: string): CortexError {
  const { seq, offset } = place;
  const message = `${path} is damaged at byte ${offset}, record ${seq}: ${problem}`;
  return new CortexError("DATA_CORRUPT", message, { details: { path, offset, seq } });
}

/** `neededBytes` is 0 unless the buffer ends inside the next record. */
function decodePart(
  buffer: Buffer,
  source: SegmentSource,
  range: SegmentRange,
): SegmentPart & { readonly neededBytes: number } {
  const records: LogRecord[] = [];
  const start = range.from.offset;
  let { seq, offset } = range.from;
  let totalBytes = 0;
  while (seq <= range.throughSeq && offset < source.endBytes) {
    const decoded = decodeRecord(buffer, offset - start, source.salt);
    if (decoded.status === "partial") return { records, next: { seq, offset }, neededBytes: decoded.neededBytes };
    if (decoded.status === "bad" || decoded.record.seq !== seq) {
      // What is before the damage is given first; the next read starts at it.
      if (records.length > 0) break;
      const problem = decoded.status === "bad" ? "its checksum does not hold" : `it has number ${decoded.record.seq}`;
      throw damaged(source.path, { seq, offset }, problem);
    }
    const endOffset = start + decoded.endOffset;
    if (seq > range.afterSeq) {
      totalBytes += endOffset - offset;
      if (records.length > 0 && totalBytes > range.maxBytes) break;
      records.push(decoded.record);
    }
    offset = endOffset;
    seq += 1;
  }
  return { records, next: { seq, offset }, neededBytes: 0 };
}
