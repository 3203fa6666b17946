/** Records of a task's log as frames of LogStream, and back. Pure. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { decodeGap, type LogRecord } from "@cortex-mesh/protocol/log";
import { type LogAck, LogAckSchema, LogFrameSchema, LogKind } from "@cortex-mesh/protocol/gen";
import type { AttemptKey } from "../inbox/inbox.js";

/** Encodes a record of an attempt's log; one copy of the payload. */
export function encodeLogFrame({ taskId, attempt }: AttemptKey, record: LogRecord, epoch: bigint): Uint8Array {
  const gap = decodeGap(record);
  const frame = create(LogFrameSchema, {
    log: { name: { case: "task", value: { taskId, attempt } } },
    seq: BigInt(record.seq),
    kind: gap === undefined ? (record.kind as LogKind) : LogKind.GAP,
    atMs: BigInt(Math.floor(record.atMs)),
    epoch,
    ...(gap === undefined
      ? { data: record.payload }
      : { gap: { bytes: BigInt(gap.lostBytes), reason: "the output was over its limit" } }),
  });
  return toBinary(LogFrameSchema, frame);
}

/** Decodes an acknowledgement. */
export function decodeLogAck(bytes: Uint8Array): LogAck {
  return fromBinary(LogAckSchema, bytes);
}
