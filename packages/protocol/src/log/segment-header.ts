/**
 * The name and the first bytes of a segment: which record it starts with, and the salt of its checksums. Pure.
 *
 * ```
 * 0  8 bytes "cxlog\0\0" and the format version
 * 8  u32 salt
 * 12 u48 firstSeq
 * 18 u16 reserved, 0
 * 20 u32 CRC-32 of the 20 bytes before
 * ```
 *
 * The name repeats the first number, so that a segment whose header never reached the disk still keeps the numbering.
 */

import { crc32 } from "node:zlib";
import { readSeq, writeSeq } from "./record-codec.js";

/** Length of a segment's header, in bytes. */
export const SEGMENT_HEADER_BYTES = 24;

const MAGIC = Buffer.from("cxlog\0\0\x01", "latin1");
const CHECKED_BYTES = 20;
const SEGMENT_NAME = /^(\d{16})\.seg$/;

/** What a segment's header says. */
export interface SegmentHeader {
  readonly firstSeq: number;
  /** Start value of every checksum in the segment, 32 bits. */
  readonly salt: number;
}

/** The file name of the segment that starts with `firstSeq`; names sort as the segments do. */
export function segmentName(firstSeq: number): string {
  return `${String(firstSeq).padStart(16, "0")}.seg`;
}

/** The first number of the segment with this file name; `undefined` when it is not the name of a segment. */
export function tryParseSegmentName(name: string): number | undefined {
  const digits = SEGMENT_NAME.exec(name)?.[1];
  if (digits === undefined) return undefined;
  const firstSeq = Number(digits);
  return Number.isSafeInteger(firstSeq) && firstSeq >= 1 ? firstSeq : undefined;
}

/** Encodes a header of {@link SEGMENT_HEADER_BYTES}. */
export function encodeSegmentHeader(header: SegmentHeader): Buffer {
  const target = Buffer.alloc(SEGMENT_HEADER_BYTES);
  target.set(MAGIC, 0);
  target.writeUInt32LE(header.salt, 8);
  writeSeq(target, header.firstSeq, 12);
  target.writeUInt32LE(crc32(target.subarray(0, CHECKED_BYTES)), CHECKED_BYTES);
  return target;
}

/** Decodes a header; `undefined` when it is short, of another format, or fails its checksum. */
export function decodeSegmentHeader(source: Buffer): SegmentHeader | undefined {
  if (source.byteLength < SEGMENT_HEADER_BYTES) return undefined;
  if (crc32(source.subarray(0, CHECKED_BYTES)) !== source.readUInt32LE(CHECKED_BYTES)) return undefined;
  if (!source.subarray(0, MAGIC.byteLength).equals(MAGIC)) return undefined;
  return { salt: source.readUInt32LE(8), firstSeq: readSeq(source, 12) };
}
