import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createReceiveWindow } from "../../src/log/receive-window.js";

describe("receive window", () => {
  it("T8: whatever arrives, each number is accepted once and in order", () => {
    fc.assert(
      fc.property(fc.nat(5), fc.array(fc.integer({ min: 1, max: 20 })), (afterSeq, arrivals) => {
        const window = createReceiveWindow({ afterSeq });
        const accepted = arrivals.filter((seq) => window.accept(seq) === "accept");
        expect(accepted).toEqual(accepted.map((_, index) => afterSeq + 1 + index));
        expect(window.expectedSeq).toBe(afterSeq + accepted.length + 1);
      }),
    );
  });

  it("T8: what was accepted is a duplicate, what is ahead is a gap, and neither moves the window", () => {
    const window = createReceiveWindow({ afterSeq: 3 });
    expect([3, 5, 4, 4, 6].map((seq) => window.accept(seq))).toEqual([
      "duplicate",
      "gap",
      "accept",
      "duplicate",
      "gap",
    ]);
    expect(window.expectedSeq).toBe(5);
  });

  it("T8: after a reset to what was stored, the rest is accepted again", () => {
    const window = createReceiveWindow();
    window.accept(1);
    window.accept(2);
    window.reset(1);
    expect(window.accept(2)).toBe("accept");
  });

  it("T8: a number that cannot be one is refused", () => {
    for (const seq of [0, -1, 1.5, Number.NaN]) expect(() => createReceiveWindow().accept(seq)).toThrow(RangeError);
  });
});
