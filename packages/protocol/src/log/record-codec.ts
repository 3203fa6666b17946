/**
 * A record as bytes on disk: a fixed header, then the payload. Pure; it opens no file.
 *
 * ```
 * 0  u32 checksum     CRC-32 of everything after it, started from the segment's salt
 * 4  u32 payloadBytes
 * 8  u48 seq
 * 14 u8  kind
 * 15 u8  mark         the salt's low byte
 * 16 f64 atMs
 * 24 payload
 * ```
 *
 * All numbers are little endian. The salt is a secret of the segment, so that output which imitates records never
 * passes for one while a damaged file is searched; the mark makes that search quick.
 */

import { crc32 } from "node:zlib";
import { type LogRecord, MAX_RECORD_BYTES } from "./record.js";

/** Length of a record's header, in bytes. */
export const RECORD_HEADER_BYTES = 24;

/** Payloads up to this many bytes are copied beside their header, so that many small records make one write. */
const COPIED_PAYLOAD_BYTES = 8 * 1024;

const CHECKSUM_BYTES = 4;

/** What {@link decodeRecord} found. `neededBytes` counts from the record's start. */
export type DecodedRecord =
  | { readonly status: "ok"; readonly record: LogRecord; readonly endOffset: number }
  | { readonly status: "partial"; readonly neededBytes: number }
  | { readonly status: "bad" };

/** Length of a record on disk, in bytes. */
export function recordSizeBytes(record: LogRecord): number {
  return RECORD_HEADER_BYTES + record.payload.byteLength;
}

/**
 * Encodes records for one gathered write; large payloads are passed on, not copied.
 *
 * @param prefix - bytes that go before the first record.
 */
export function encodeRecords(records: readonly LogRecord[], salt: number, prefix?: Uint8Array): Uint8Array[] {
  let scratchBytes = prefix?.byteLength ?? 0;
  for (const { payload } of records) {
    scratchBytes += RECORD_HEADER_BYTES + (payload.byteLength <= COPIED_PAYLOAD_BYTES ? payload.byteLength : 0);
  }
  const scratch = Buffer.allocUnsafeSlow(scratchBytes);
  if (prefix !== undefined) scratch.set(prefix, 0);
  const buffers: Uint8Array[] = [];
  let runStart = 0;
  let end = prefix?.byteLength ?? 0;
  for (const record of records) {
    end = encodeHeader(record, scratch, { offset: end, salt });
    if (record.payload.byteLength <= COPIED_PAYLOAD_BYTES) {
      scratch.set(record.payload, end);
      end += record.payload.byteLength;
    } else {
      buffers.push(scratch.subarray(runStart, end), record.payload);
      runStart = end;
    }
  }
  if (end > runStart) buffers.push(scratch.subarray(runStart, end));
  return buffers;
}

/**
 * Decodes the record that starts at `offset`. The payload shares the buffer's memory.
 *
 * A length over the limit is `bad` before anything is allocated or checked.
 */
export function decodeRecord(source: Buffer, offset: number, salt: number): DecodedRecord {
  const available = source.byteLength - offset;
  if (available < RECORD_HEADER_BYTES) return { status: "partial", neededBytes: RECORD_HEADER_BYTES };
  const payloadBytes = source.readUInt32LE(offset + 4);
  if (payloadBytes > MAX_RECORD_BYTES || source[offset + 15] !== recordMark(salt)) return { status: "bad" };
  const neededBytes = RECORD_HEADER_BYTES + payloadBytes;
  if (available < neededBytes) return { status: "partial", neededBytes };
  const endOffset = offset + neededBytes;
  const checksum = crc32(source.subarray(offset + CHECKSUM_BYTES, endOffset), salt);
  if (checksum !== source.readUInt32LE(offset)) return { status: "bad" };
  const record: LogRecord = {
    seq: readSeq(source, offset + 8),
    kind: source.readUInt8(offset + 14),
    atMs: source.readDoubleLE(offset + 16),
    payload: source.subarray(offset + RECORD_HEADER_BYTES, endOffset),
  };
  return { status: "ok", record, endOffset };
}

/**
 * Finds the first whole, valid record that starts at or after `fromOffset`; `undefined` when there is none.
 *
 * Cost: linear in the length of `source`, and one checksum for each place that carries the mark.
 */
export function findRecord(source: Buffer, fromOffset: number, salt: number): LogRecord | undefined {
  const markOffset = 15;
  let at = source.indexOf(recordMark(salt), fromOffset + markOffset);
  while (at >= 0) {
    const decoded = decodeRecord(source, at - markOffset, salt);
    if (decoded.status === "ok") return decoded.record;
    at = source.indexOf(recordMark(salt), at + 1);
  }
  return undefined;
}

/** Writes a 48-bit number. */
export function writeSeq(target: Buffer, seq: number, offset: number): void {
  target.writeUInt32LE(seq % 0x1_0000_0000, offset);
  target.writeUInt16LE(Math.floor(seq / 0x1_0000_0000), offset + 4);
}

/** Reads a 48-bit number. */
export function readSeq(source: Buffer, offset: number): number {
  return source.readUInt32LE(offset) + source.readUInt16LE(offset + 4) * 0x1_0000_0000;
}

function recordMark(salt: number): number {
  return salt & 0xff;
}

function encodeHeader(record: LogRecord, target: Buffer, place: { offset: number; salt: number }): number {
  const { offset, salt } = place;
  const end = offset + RECORD_HEADER_BYTES;
  target.writeUInt32LE(record.payload.byteLength, offset + 4);
  writeSeq(target, record.seq, offset + 8);
  target.writeUInt8(record.kind, offset + 14);
  target.writeUInt8(recordMark(salt), offset + 15);
  target.writeDoubleLE(record.atMs, offset + 16);
  const headerChecksum = crc32(target.subarray(offset + CHECKSUM_BYTES, end), salt);
  // Of an empty buffer without memory of its own the system's CRC-32 is 0, whatever it is started from.
  const checksum = record.payload.byteLength === 0 ? headerChecksum : crc32(record.payload, headerChecksum);
  target.writeUInt32LE(checksum, offset);
  return end;
}
