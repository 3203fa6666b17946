/**
 * What a log holds: numbered records, and gaps that say how much was left out.
 *
 * A record's meaning is the application's: `kind` tells records apart, `payload` is opaque bytes.
 *
 * Invariants:
 * - (R1) numbers start at 1 and have no holes: the record after `seq` is `seq + 1`;
 * - (R2) what a policy leaves out is left out before it gets a number; one gap record takes its place and has a number
 *   of its own, so a reader that sees every number has seen every loss.
 */

import { CortexError } from "../errors.js";

/** Longest payload of one record, in bytes: with its frame around it, it stays under a control message's limit. */
export const MAX_RECORD_BYTES: number = 1024 * 1024;

/** Highest kind an application may use; 255 is {@link GAP_KIND}. */
export const MAX_RECORD_KIND = 254;

/** The kind of a gap record. */
export const GAP_KIND = 255;

/** One entry of a log. Handed out without a copy: a reader changes neither the record nor its payload. */
export interface LogRecord {
  /** Position in the log, from 1 (R1). */
  readonly seq: number;
  /** 0-254 as the application defines them; 255 is a gap. */
  readonly kind: number;
  /** When it was appended, on the writer's wall clock, milliseconds since the Unix epoch. For people; it orders nothing. */
  readonly atMs: number;
  readonly payload: Uint8Array;
}

/** What a gap record stands for (R2). */
export interface LogGap {
  /** Payload bytes left out. */
  readonly lostBytes: number;
  /** Pieces of output left out; 0 when they were not counted. */
  readonly lostRecords: number;
}

const GAP_BYTES = 16;

/** Encodes a gap as the payload of a record of {@link GAP_KIND}. */
export function encodeGap(gap: LogGap): Uint8Array {
  const payload = new Uint8Array(GAP_BYTES);
  const view = new DataView(payload.buffer);
  view.setBigUint64(0, BigInt(checkCount("lostBytes", gap.lostBytes)), true);
  view.setBigUint64(8, BigInt(checkCount("lostRecords", gap.lostRecords)), true);
  return payload;
}

/**
 * Reads the gap a record stands for; `undefined` when the record is not a gap.
 *
 * @throws CortexError `DATA_CORRUPT` when the payload of a gap record is not a gap.
 */
export function decodeGap(record: LogRecord): LogGap | undefined {
  if (record.kind !== GAP_KIND) return undefined;
  const { payload } = record;
  if (payload.byteLength !== GAP_BYTES) throw malformedGap(record.seq);
  const view = new DataView(payload.buffer, payload.byteOffset, GAP_BYTES);
  const lostBytes = Number(view.getBigUint64(0, true));
  const lostRecords = Number(view.getBigUint64(8, true));
  if (!Number.isSafeInteger(lostBytes) || !Number.isSafeInteger(lostRecords)) throw malformedGap(record.seq);
  return { lostBytes, lostRecords };
}

function checkCount(name: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new RangeError(`${name} must be a non-negative integer, got ${value}`);
}

function malformedGap(seq: number): CortexError {
  return new CortexError("DATA_CORRUPT", `record ${seq} is a gap without readable counts`, { details: { seq } });
}
