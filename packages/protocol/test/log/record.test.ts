import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { LogRecord } from "../../src/log/record.js";
import { decodeGap, encodeGap, GAP_KIND, MAX_RECORD_BYTES } from "../../src/log/record.js";
import { decodeRecord, encodeRecords, RECORD_HEADER_BYTES } from "../../src/log/record-codec.js";

const SALT = 0x8badf00d;

const anyRecord: fc.Arbitrary<LogRecord> = fc.record({
  seq: fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 2 ** 48 - 1 })),
  kind: fc.integer({ min: 0, max: 255 }),
  atMs: fc.double({ noNaN: true }),
  payload: fc.oneof(
    fc.uint8Array({ maxLength: 100 }),
    fc.integer({ min: 8_190, max: 8_195 }).map((size) => new Uint8Array(size).fill(size)),
  ),
});

describe("record", () => {
  it("E2: every record reads back as it was written, many in one write, large ones without a copy", () => {
    fc.assert(
      fc.property(fc.array(anyRecord), (records) => {
        const bytes = Buffer.concat(encodeRecords(records, SALT));
        let at = 0;
        for (const { payload, ...rest } of records) {
          const result = decodeRecord(bytes, at, SALT);
          if (result.status !== "ok") throw new Error(result.status);
          expect(result.record).toMatchObject(rest);
          expect(Buffer.compare(result.record.payload, payload)).toBe(0);
          at = result.endOffset;
        }
        expect(at).toBe(bytes.byteLength);
      }),
    );
  });

  it("E2: a record that is cut is partial and tells how many bytes it needs", () => {
    const bytes = Buffer.concat(encodeRecords([{ seq: 1, kind: 0, atMs: 0, payload: new Uint8Array(5) }], SALT));
    for (let length = 0; length < bytes.byteLength; length += 1) {
      const neededBytes = length < RECORD_HEADER_BYTES ? RECORD_HEADER_BYTES : RECORD_HEADER_BYTES + 5;
      expect(decodeRecord(bytes.subarray(0, length), 0, SALT)).toEqual({ status: "partial", neededBytes });
    }
  });

  it("E2: a length over the limit, another segment's record and zeros are bad, not partial", () => {
    const tooLong = Buffer.concat(encodeRecords([{ seq: 1, kind: 0, atMs: 0, payload: new Uint8Array(5) }], SALT));
    tooLong.writeUInt32LE(MAX_RECORD_BYTES + 1, 4);
    expect(decodeRecord(tooLong, 0, SALT).status).toBe("bad");
    const foreign = Buffer.concat(
      encodeRecords([{ seq: 1, kind: 0, atMs: 0, payload: new Uint8Array(5) }], SALT + 0x100),
    );
    expect(decodeRecord(foreign, 0, SALT).status).toBe("bad");
    expect(decodeRecord(Buffer.alloc(RECORD_HEADER_BYTES), 0, 0).status).toBe("bad");
  });

  it("E2: a gap carries its counts, and a broken gap is named", () => {
    const record = { seq: 7, kind: GAP_KIND, atMs: 0, payload: encodeGap({ lostBytes: 2 ** 40, lostRecords: 3 }) };
    expect(decodeGap(record)).toEqual({ lostBytes: 2 ** 40, lostRecords: 3 });
    expect(decodeGap({ ...record, kind: 1 })).toBeUndefined();
    expect(() => decodeGap({ ...record, payload: new Uint8Array(3) })).toThrow(
      expect.objectContaining({ code: "DATA_CORRUPT" }),
    );
    expect(() => encodeGap({ lostBytes: -1, lostRecords: 0 })).toThrow(RangeError);
  });
});
