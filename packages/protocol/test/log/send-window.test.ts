import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createSendWindow } from "../../src/log/send-window.js";

describe("send window", () => {
  it("E2: what is under way never exceeds the bounds, whatever is sent, acknowledged and reset", () => {
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.record({ kind: fc.constant("send" as const), value: fc.nat(60) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("ack" as const), value: fc.nat(100) }) },
      fc.record({ kind: fc.constant("reset" as const), value: fc.nat(100) }),
    );
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 100 }),
        fc.array(step),
        (records, bytes, steps) => {
          const window = createSendWindow({ maxRecords: records, maxBytes: bytes });
          const unacked = new Map<number, number>();
          for (const { kind, value } of steps) {
            if (kind === "send" && window.canSend(value)) {
              unacked.set(window.nextSeq, value);
              window.sent(window.nextSeq, value);
            } else if (kind === "ack") {
              const throughSeq = window.ackedSeq + (value % (unacked.size + 1));
              window.acked(throughSeq);
              for (const seq of [...unacked.keys()]) if (seq <= throughSeq) unacked.delete(seq);
            } else if (kind === "reset") {
              window.reset(value);
              unacked.clear();
            }
            const inFlightBytes = [...unacked.values()].reduce((sum, size) => sum + size, 0);
            expect(window.inFlight).toEqual({ records: unacked.size, bytes: inFlightBytes });
            expect(unacked.size).toBeLessThanOrEqual(records);
            if (unacked.size > 1) expect(inFlightBytes).toBeLessThanOrEqual(bytes);
            expect(window.available()).toEqual({
              records: records - unacked.size,
              bytes: Math.max(0, bytes - inFlightBytes),
            });
            expect(window.nextSeq).toBe(window.ackedSeq + unacked.size + 1);
          }
        },
      ),
    );
  });

  it("E2: a record larger than the window is sent when nothing else is under way", () => {
    const window = createSendWindow({ maxBytes: 10 });
    expect(window.canSend(11)).toBe(true);
    window.sent(1, 11);
    expect(window.canSend(0)).toBe(false);
    window.acked(1);
    expect(window.canSend(11)).toBe(true);
  });

  it("E2: sending out of order, or more than the window, is a fault of the caller", () => {
    const window = createSendWindow({ maxRecords: 1 });
    expect(() => window.sent(2, 1)).toThrow(RangeError);
    window.sent(1, 1);
    expect(() => window.sent(2, 1)).toThrow(/over the window/);
  });

  it("E2: an old acknowledgement changes nothing, one for an unsent record is refused", () => {
    const window = createSendWindow({ afterSeq: 5 });
    window.sent(6, 100);
    window.acked(3);
    expect(window.inFlight).toEqual({ records: 1, bytes: 100 });
    expect(() => window.acked(7)).toThrow(expect.objectContaining({ code: "BAD_REQUEST" }));
  });

  it("T8: after a reconnect sending goes on after what the receiver has", () => {
    const window = createSendWindow();
    for (let seq = 1; seq <= 5; seq += 1) window.sent(seq, 10);
    window.reset(3);
    expect(window.nextSeq).toBe(4);
    expect(window.inFlight).toEqual({ records: 0, bytes: 0 });
  });
});
