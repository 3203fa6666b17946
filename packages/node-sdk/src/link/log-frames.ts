/**
 * Records of a task's log as frames of LogStream, and back. Pure.
 *
 * What all frames of a log share is encoded once; the rest is put behind it by hand, in any order, as protobuf reads it.
 * So a record is copied once, into memory of its exact size, and costs no message object.
 */
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { CortexError } from "@cortex-mesh/protocol";
import { type LogAck, LogAckSchema, LogFrameSchema, type LogGapSchema, LogKind } from "@cortex-mesh/protocol/gen";
import { decodeGap, type LogRecord } from "@cortex-mesh/protocol/log";
import type { AttemptKey } from "../inbox/inbox.js";

/** Tags of the fields `seq`, `kind` and `at_ms` (varints), and of `data` (length-delimited). */
const SEQ_TAG = 0x10;
const KIND_TAG = 0x18;
const AT_TAG = 0x20;
const DATA_TAG = 0x2a;

/** Numbers of a log whose records are not there any more. */
export interface LogHole {
  readonly fromSeq: number;
  readonly throughSeq: number;
}

/** Makes the frames of one log on one connection. */
export interface LogFrameEncoder {
  /** Encodes a record; one copy of the payload. */
  record(record: LogRecord): Uint8Array;
  /** Encodes what stands in place of records that are lost. */
  hole(hole: LogHole, atMs: number): Uint8Array;
}

/** Makes the encoder of an attempt's log. */
export function createLogFrameEncoder({ taskId, attempt }: AttemptKey, epoch: bigint): LogFrameEncoder {
  const shared = { log: { name: { case: "task", value: { taskId, attempt } } }, epoch } as const;
  const head = toBinary(LogFrameSchema, create(LogFrameSchema, shared));
  const gapFrame = (seq: number, atMs: number, gap: MessageInitShape<typeof LogGapSchema>): Uint8Array => {
    const fields = { ...shared, seq: BigInt(seq), kind: LogKind.GAP, atMs: BigInt(Math.floor(atMs)), gap };
    return toBinary(LogFrameSchema, create(LogFrameSchema, fields));
  };
  return {
    record(record) {
      const gap = decodeGap(record);
      if (gap === undefined) return encodeRecord(head, record);
      return gapFrame(record.seq, record.atMs, {
        bytes: BigInt(gap.lostBytes),
        reason: "the output was over its limit",
      });
    },
    hole({ fromSeq, throughSeq }, atMs) {
      const reason = `records ${fromSeq} to ${throughSeq} of the node's log were damaged or lost`;
      return gapFrame(fromSeq, atMs, { reason, throughSeq: BigInt(throughSeq) });
    },
  };
}

/** Decodes an acknowledgement. @throws CortexError `BAD_REQUEST` for bytes that are none */
export function decodeLogAck(bytes: Uint8Array): LogAck {
  try {
    return fromBinary(LogAckSchema, bytes);
  } catch (cause) {
    throw new CortexError("BAD_REQUEST", "the hub sent bytes that are no LogAck", { cause });
  }
}

function encodeRecord(head: Uint8Array, { seq, kind, atMs, payload }: LogRecord): Uint8Array {
  const wholeAtMs = Math.max(0, Math.floor(atMs));
  const fieldBytes =
    4 + varintBytes(seq) + varintBytes(kind) + varintBytes(wholeAtMs) + varintBytes(payload.byteLength);
  const frame = Buffer.allocUnsafeSlow(head.byteLength + fieldBytes + payload.byteLength);
  frame.set(head, 0);
  let at = head.byteLength;
  at = putVarint(frame, at, { tag: SEQ_TAG, value: seq });
  at = putVarint(frame, at, { tag: KIND_TAG, value: kind });
  at = putVarint(frame, at, { tag: AT_TAG, value: wholeAtMs });
  at = putVarint(frame, at, { tag: DATA_TAG, value: payload.byteLength });
  frame.set(payload, at);
  return frame;
}

/** Division and not a shift: numbers here have up to 53 bits. */
function putVarint(target: Uint8Array, offset: number, { tag, value }: { tag: number; value: number }): number {
  let at = offset;
  target[at++] = tag;
  let rest = value;
  while (rest > 0x7f) {
    target[at++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  target[at++] = rest;
  return at;
}

function varintBytes(value: number): number {
  let count = 1;
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 0x80)) count += 1;
  return count;
}
