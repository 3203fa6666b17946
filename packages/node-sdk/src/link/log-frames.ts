/**
 * Records of a task's log as frames of LogStream, and back. Pure.
 *
 * The payload is appended to the encoded rest by hand: protobuf reads fields in any order, and so a record is copied
 * once, into memory of its exact size. The generated encoder would grow a buffer around it and copy that again.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type LogAck, LogAckSchema, LogFrameSchema, LogKind } from "@cortex-mesh/protocol/gen";
import { decodeGap, type LogRecord } from "@cortex-mesh/protocol/log";
import type { AttemptKey } from "../inbox/inbox.js";

/** Tag of the field `data` (5), length-delimited. */
const DATA_TAG = 0x2a;

/** Encodes a record of an attempt's log; one copy of the payload. */
export function encodeLogFrame({ taskId, attempt }: AttemptKey, record: LogRecord, epoch: bigint): Uint8Array {
  const gap = decodeGap(record);
  const frame = create(LogFrameSchema, {
    log: { name: { case: "task", value: { taskId, attempt } } },
    seq: BigInt(record.seq),
    kind: gap === undefined ? (record.kind as LogKind) : LogKind.GAP,
    atMs: BigInt(Math.floor(record.atMs)),
    epoch,
    ...(gap === undefined ? {} : { gap: { bytes: BigInt(gap.lostBytes), reason: "the output was over its limit" } }),
  });
  const head = toBinary(LogFrameSchema, frame);
  return gap === undefined ? appendData(head, record.payload) : head;
}

/** Decodes an acknowledgement. */
export function decodeLogAck(bytes: Uint8Array): LogAck {
  return fromBinary(LogAckSchema, bytes);
}

function appendData(head: Uint8Array, data: Uint8Array): Uint8Array {
  const frame = Buffer.allocUnsafeSlow(head.byteLength + 1 + varintBytes(data.byteLength) + data.byteLength);
  frame.set(head, 0);
  let at = head.byteLength;
  frame[at++] = DATA_TAG;
  let rest = data.byteLength;
  while (rest > 0x7f) {
    frame[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  frame[at++] = rest;
  frame.set(data, at);
  return frame;
}

function varintBytes(value: number): number {
  let count = 1;
  for (let rest = value; rest > 0x7f; rest >>>= 7) count += 1;
  return count;
}
