import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createLogTail } from "../../src/log/log-tail.js";

describe("log tail", () => {
  it("T8: what is not written is kept whatever is acknowledged, and what is written up to the memory limit", () => {
    const anyState = fc.record({
      count: fc.nat(3_000),
      writtenSeq: fc.nat(3_000),
      ackedSeq: fc.nat(3_000),
      memoryBytes: fc.nat(1_000_000),
    });
    fc.assert(
      fc.property(anyState, ({ count, writtenSeq, ackedSeq, memoryBytes }) => {
        const tail = createLogTail({ nextSeq: 1, memoryBytes });
        for (let seq = 1; seq <= count; seq += 1)
          tail.push({ seq, kind: 1, atMs: 0, payload: new Uint8Array(seq % 50) });
        const written = Math.min(writtenSeq, count);
        tail.trim({ writtenSeq: written, ackedSeq: Math.min(ackedSeq, count) });
        expect(tail.firstSeq).toBeLessThanOrEqual(written + 1);
        if (tail.firstSeq <= written) expect(tail.heldBytes).toBeLessThanOrEqual(memoryBytes);
        const range = { afterSeq: tail.firstSeq - 1, maxBytes: Number.POSITIVE_INFINITY, throughSeq: count };
        const held = tail.slice(range);
        expect(held.map((record) => record.seq)).toEqual(held.map((_, index) => tail.firstSeq + index));
        expect(tail.firstSeq + held.length).toBe(tail.nextSeq);
      }),
      { numRuns: 50 },
    );
  });

  it("T8: a record out of turn is a fault of the caller", () => {
    const tail = createLogTail({ nextSeq: 5, memoryBytes: 0 });
    expect(() => tail.push({ seq: 6, kind: 1, atMs: 0, payload: new Uint8Array(0) })).toThrow(RangeError);
  });
});
