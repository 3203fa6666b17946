import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isCortexError } from "../../src/errors.js";
import { HubTaskFrameSchema, HubTaskMessageSchema, LogFrameSchema, LogMessageSchema } from "../../src/gen/index.js";
import {
  batchedBytes,
  decodeFrameBatch,
  encodeFrameBatch,
  MAX_FRAMES_PER_MESSAGE,
} from "../../src/grpc/frame-batch.js";

const anyFrames = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 40 });

describe("frame batch", () => {
  it("T3: what is packed comes out again, byte for byte and in order", () => {
    fc.assert(
      fc.property(anyFrames, (frames) => {
        const message = encodeFrameBatch(frames);
        expect(message.byteLength).toBe(frames.reduce((sum, frame) => sum + batchedBytes(frame.byteLength), 0));
        expect(decodeFrameBatch(message)).toEqual(frames);
      }),
    );
  });

  it("T3: a batch is exactly what protobuf writes for repeated frames, and reads protobuf's bytes", () => {
    const anyData = fc.array(fc.uint8Array({ maxLength: 20_000 }), { maxLength: 8 });
    fc.assert(
      fc.property(anyData, fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (contents, seq) => {
        const frames = contents.map((data) => create(LogFrameSchema, { seq, data }));
        const whole = toBinary(LogMessageSchema, create(LogMessageSchema, { frames }));
        const parts = frames.map((frame) => toBinary(LogFrameSchema, frame));
        expect(new Uint8Array(encodeFrameBatch(parts))).toEqual(whole);
        expect(decodeFrameBatch(whole)).toEqual(parts);
      }),
    );
  });

  it("T3: protobuf parses a batch into the same frames, numbers above 2^53 included", () => {
    const epoch = 2n ** 63n + 1n;
    const frame = create(HubTaskFrameSchema, { seq: 9n, epoch, body: { case: "pong", value: { id: 2n ** 64n - 1n } } });
    const message = encodeFrameBatch([toBinary(HubTaskFrameSchema, frame)]);
    expect(fromBinary(HubTaskMessageSchema, message).frames).toEqual([frame]);
  });

  it("T5: whatever bytes arrive, reading gives frames or BAD_REQUEST and never holds more than arrived", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const outcome = attempt(bytes);
        if (Array.isArray(outcome)) {
          const held = outcome.reduce((sum, frame) => sum + frame.byteLength, 0);
          expect(held).toBeLessThanOrEqual(bytes.byteLength);
          for (const frame of outcome) expect(frame.buffer).toBe(bytes.buffer);
        } else {
          expect(outcome).toBe("BAD_REQUEST");
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it("T5: a batch that was changed in one byte gives frames or BAD_REQUEST", () => {
    fc.assert(
      fc.property(anyFrames, fc.nat(), fc.integer({ min: 0, max: 255 }), (frames, at, value) => {
        const message = encodeFrameBatch(frames);
        if (message.byteLength > 0) message[at % message.byteLength] = value;
        const outcome = attempt(message);
        expect(Array.isArray(outcome) || outcome === "BAD_REQUEST").toBe(true);
      }),
    );
  });

  it.each([
    ["a frame longer than the message", [0x0a, 0x05, 1, 2]],
    ["a declared length of 4 GiB", [0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 1]],
    ["a length of more than 32 bits", [0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f]],
    ["a length that never ends", [0x0a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80]],
    ["a tag alone", [0x0a]],
    ["frames as a number", [0x08, 0x01]],
    ["field number 0", [0x02, 0x00]],
    ["a group", [0x13, 0x14]],
    ["a number of 11 bytes", [0x10, ...Array<number>(10).fill(0x80), 0x00]],
  ])("T5: %s is refused", (_name, bytes) => {
    expect(attempt(Uint8Array.from(bytes))).toBe("BAD_REQUEST");
  });

  it("T3: unknown fields of every kind are skipped", () => {
    const unknown = [0x10, 0xac, 0x02, 0x19, 1, 2, 3, 4, 5, 6, 7, 8, 0x22, 0x02, 9, 9, 0x2d, 1, 2, 3, 4];
    expect(attempt(Uint8Array.from([...unknown, 0x0a, 0x01, 0x07, ...unknown]))).toEqual([Uint8Array.of(7)]);
  });

  it("T5: a message of nothing but empty frames is refused above the frame limit", () => {
    const most = Array<Uint8Array>(MAX_FRAMES_PER_MESSAGE).fill(new Uint8Array(0));
    expect(decodeFrameBatch(encodeFrameBatch(most))).toHaveLength(MAX_FRAMES_PER_MESSAGE);
    expect(attempt(encodeFrameBatch([...most, new Uint8Array(0)]))).toBe("BAD_REQUEST");
  });
});

function attempt(bytes: Uint8Array): Uint8Array[] | string {
  try {
    return decodeFrameBatch(bytes);
  } catch (error) {
    if (!isCortexError(error)) throw error;
    return error.code;
  }
}
