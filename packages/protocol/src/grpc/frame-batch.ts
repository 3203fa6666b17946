/**
 * Packs encoded frames into one stream message and takes them apart again, without parsing a frame.
 *
 * Every streaming message of the schema is `{ repeated X frames = 1 }`, which on the wire is (0x0a, length, bytes)*.
 *
 * - Input and output: encoded frames, in order. Decoded frames are views on the message: copy what is kept, or a
 *   few bytes hold the whole message in memory.
 * - Errors: `BAD_REQUEST` for bytes that are no batch, and nothing else whatever arrives. Unknown fields are
 *   skipped; groups, which no writer of today makes, are refused.
 * - Cost: one allocation for a batch; decoding allocates by frames that are there, never by a declared length.
 * - Source: https://protobuf.dev/programming-guides/encoding/
 */
import { CortexError } from "../errors.js";

/** Frames in one message, at most: 1 MiB of empty frames would otherwise become 100 MB of views. */
export const MAX_FRAMES_PER_MESSAGE = 16_384;

/** Field 1, length-delimited. */
const FRAME_TAG = 0x0a;
const FRAME_FIELD = 1;
/** A varint of 32 bits has at most 5 bytes, one of 64 bits 10. */
const MAX_LENGTH_VARINT_BYTES = 5;
const MAX_VARINT_BYTES = 10;

/** Bytes that a frame of `frameBytes` takes in a batch. */
export function batchedBytes(frameBytes: number): number {
  return 1 + varintBytes(frameBytes) + frameBytes;
}

/** Encodes frames as one message. */
export function encodeFrameBatch(frames: readonly Uint8Array[]): Buffer {
  let sizeBytes = 0;
  for (const frame of frames) sizeBytes += batchedBytes(frame.byteLength);
  const message = Buffer.allocUnsafe(sizeBytes);
  let offset = 0;
  for (const frame of frames) {
    message[offset++] = FRAME_TAG;
    let rest = frame.byteLength;
    while (rest > 0x7f) {
      message[offset++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    message[offset++] = rest;
    message.set(frame, offset);
    offset += frame.byteLength;
  }
  return message;
}

/**
 * Takes a message apart into views of its frames.
 *
 * @throws CortexError `BAD_REQUEST` when it is truncated, has another shape, or more than
 * {@link MAX_FRAMES_PER_MESSAGE} frames.
 */
export function decodeFrameBatch(message: Uint8Array): Uint8Array[] {
  const cursor: Cursor = { bytes: message, offset: 0 };
  const frames: Uint8Array[] = [];
  while (cursor.offset < message.byteLength) {
    const tag = message[cursor.offset] === FRAME_TAG ? readFrameTag(cursor) : readLength(cursor);
    if (tag !== FRAME_TAG) {
      skipField(cursor, tag);
      continue;
    }
    if (frames.length === MAX_FRAMES_PER_MESSAGE) throw malformed(`more than ${MAX_FRAMES_PER_MESSAGE} frames`);
    const frameBytes = readLength(cursor);
    const start = advance(cursor, frameBytes);
    // A plain view, not a Buffer: what is decoded from it then has plain `bytes` fields as well.
    frames.push(new Uint8Array(message.buffer, message.byteOffset + start, frameBytes));
  }
  return frames;
}

/** Where reading is in the message. */
interface Cursor {
  readonly bytes: Uint8Array;
  offset: number;
}

function readFrameTag(cursor: Cursor): number {
  cursor.offset += 1;
  return FRAME_TAG;
}

/** Reads a varint of 32 bits: a tag or a length. */
function readLength(cursor: Cursor): number {
  let value = 0;
  for (let index = 0; index < MAX_LENGTH_VARINT_BYTES; index += 1) {
    const byte = cursor.bytes[cursor.offset];
    if (byte === undefined) throw malformed("it is truncated");
    cursor.offset += 1;
    value += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) {
      if (value > 0xffff_ffff) break;
      return value;
    }
  }
  throw malformed("a number is too long");
}

/** Moves past `count` bytes and gives where they start. */
function advance(cursor: Cursor, count: number): number {
  const start = cursor.offset;
  if (count > cursor.bytes.byteLength - start) throw malformed("it is truncated");
  cursor.offset = start + count;
  return start;
}

function skipField(cursor: Cursor, tag: number): void {
  const field = Math.floor(tag / 8);
  if (field === 0) throw malformed("a field has the number 0");
  if (field === FRAME_FIELD && tag % 8 !== FRAME_TAG % 8) throw malformed("a frame is not length-delimited");
  switch (tag % 8) {
    case 0:
      skipVarint(cursor);
      return;
    case 1:
      advance(cursor, 8);
      return;
    case 2:
      advance(cursor, readLength(cursor));
      return;
    case 5:
      advance(cursor, 4);
      return;
    default:
      throw malformed("a field has an unknown wire type");
  }
}

function skipVarint(cursor: Cursor): void {
  for (let index = 0; index < MAX_VARINT_BYTES; index += 1) {
    const start = advance(cursor, 1);
    if ((cursor.bytes[start] ?? 0) < 0x80) return;
  }
  throw malformed("a number is too long");
}

function varintBytes(value: number): number {
  let count = 1;
  for (let rest = value; rest > 0x7f; rest >>>= 7) count += 1;
  return count;
}

function malformed(what: string): CortexError {
  return new CortexError("BAD_REQUEST", `a stream message cannot be read: ${what}`);
}
