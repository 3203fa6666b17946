import { fromBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { LogFrameSchema, LogKind } from "@cortex-mesh/protocol/gen";
import { encodeGap, GAP_KIND } from "@cortex-mesh/protocol/log";
import { createLogFrameEncoder } from "../../src/link/log-frames.js";
import { taskIdOf } from "../support/scripted-hub.js";

const KEY = { taskId: taskIdOf(1), attempt: 3 };

describe("a record on the wire", () => {
  it.each([0, 1, 127, 128, 16_383, 16_384, 262_144])(
    "E2: a payload of %i bytes is read back as it was",
    (sizeBytes) => {
      const payload = Uint8Array.from({ length: sizeBytes }, (_, at) => at & 0xff);
      const record = { seq: 7, kind: LogKind.STDERR, atMs: 1_700_000_000_000.5, payload };
      const frame = fromBinary(LogFrameSchema, createLogFrameEncoder(KEY, 9n).record(record));
      expect(frame).toMatchObject({ seq: 7n, kind: LogKind.STDERR, atMs: 1_700_000_000_000n, epoch: 9n });
      expect(frame.log?.name.value).toMatchObject(KEY);
      expect(Buffer.compare(frame.data, payload)).toBe(0);
      expect(frame.$unknown).toBeUndefined();
    },
  );

  it("T8: numbers of 53 bits are read back as they were", () => {
    const record = { seq: 2 ** 48 - 1, kind: 1, atMs: Number.MAX_SAFE_INTEGER, payload: Uint8Array.of(1) };
    const frame = fromBinary(LogFrameSchema, createLogFrameEncoder(KEY, 2n ** 63n).record(record));
    expect(frame).toMatchObject({ seq: 2n ** 48n - 1n, atMs: BigInt(Number.MAX_SAFE_INTEGER), epoch: 2n ** 63n });
  });

  it("T8: what stands for lost records names the first and the last of them", () => {
    const frame = fromBinary(LogFrameSchema, createLogFrameEncoder(KEY, 1n).hole({ fromSeq: 5, throughSeq: 9 }, 7.5));
    expect(frame).toMatchObject({ seq: 5n, kind: LogKind.GAP, atMs: 7n, gap: { throughSeq: 9n, bytes: 0n } });
    expect(frame.gap?.reason).toContain("5 to 9");
  });

  it("T5: a gap says how many bytes it stands for", () => {
    const payload = encodeGap({ lostBytes: 12_345, lostRecords: 2 });
    const record = { seq: 1, kind: GAP_KIND, atMs: 0, payload };
    const frame = fromBinary(LogFrameSchema, createLogFrameEncoder(KEY, 1n).record(record));
    expect(frame).toMatchObject({ kind: LogKind.GAP, gap: { bytes: 12_345n } });
    expect(frame.data.byteLength).toBe(0);
  });
});
