import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeFrameBatch, MAX_FRAMES_PER_MESSAGE } from "../../src/grpc/frame-batch.js";
import { createOutbox } from "../../src/grpc/outbox.js";

describe("outbox", () => {
  it("T3: batches keep every frame in order and only a frame alone is over the limit", () => {
    const anyFrames = fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 60 });
    fc.assert(
      fc.property(anyFrames, fc.integer({ min: 1, max: 400 }), (frames, maxBatchBytes) => {
        const outbox = createOutbox(maxBatchBytes);
        for (const frame of frames) outbox.push(frame);
        const taken: Uint8Array[] = [];
        for (let batch = outbox.shift(false); batch !== undefined; batch = outbox.shift(false)) {
          expect(batch.sizeBytes).toBe(encodeFrameBatch(batch.frames).byteLength);
          expect(batch.sizeBytes <= maxBatchBytes || batch.frames.length === 1).toBe(true);
          taken.push(...batch.frames);
        }
        expect(taken).toEqual(frames);
        expect(outbox.sizeBytes).toBe(0);
      }),
    );
  });

  it("T3: a batch that can still grow waits when only full ones are asked for", () => {
    const outbox = createOutbox(10);
    outbox.push(new Uint8Array(3));
    expect(outbox.shift(true)).toBeUndefined();
    outbox.push(new Uint8Array(6));
    expect(outbox.shift(true)?.frames).toHaveLength(1);
    expect(outbox.shift(true)).toBeUndefined();
    expect(outbox.shift(false)?.frames).toHaveLength(1);
  });

  it("T5: no batch has more frames than a reader accepts", () => {
    const outbox = createOutbox(1024 * 1024);
    for (let count = 0; count <= MAX_FRAMES_PER_MESSAGE; count += 1) outbox.push(new Uint8Array(0));
    expect(outbox.shift(false)?.frames).toHaveLength(MAX_FRAMES_PER_MESSAGE);
    expect(outbox.shift(false)?.frames).toHaveLength(1);
  });
});
