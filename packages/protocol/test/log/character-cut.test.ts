import { isUtf8 } from "node:buffer";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cutBetweenCharacters, openCharacterBytes } from "../../src/log/character-cut.js";

const text = fc.string({ unit: "grapheme", maxLength: 40 });

describe("the end of bytes", () => {
  it.each([
    ["nothing", [], 0],
    ["ASCII", [0x61], 0],
    ["a whole character", [0xe2, 0x82, 0xac], 0],
    ["one byte of two", [0xc3], 1],
    ["one byte of three", [0x61, 0xe2], 1],
    ["two bytes of three", [0xe2, 0x82], 2],
    ["three bytes of four", [0xf0, 0x9f, 0x98], 3],
    ["continuations without a start", [0x80, 0x80, 0x80], 0],
    ["a start of an overlong form", [0xc0], 0],
    ["an overlong form of three bytes", [0xe0, 0x80], 0],
    ["half a surrogate", [0xed, 0xa0], 0],
    ["past the last character", [0xf4, 0x90], 0],
    ["a start that is no start", [0xf5, 0x80], 0],
  ])("E2: %s leaves the right count open", (_, bytes, openBytes) => {
    expect(openCharacterBytes(Uint8Array.from(bytes))).toBe(openBytes);
  });

  it("E2: a text that is cut anywhere is text up to its open bytes", () => {
    fc.assert(
      fc.property(text, fc.nat(200), (value, at) => {
        const bytes = Buffer.from(value);
        const start = bytes.subarray(0, at);
        const openBytes = openCharacterBytes(start);
        expect(isUtf8(start.subarray(0, start.byteLength - openBytes))).toBe(true);
        // No more than has to be is left open.
        expect(openBytes === 0 || !isUtf8(start)).toBe(true);
      }),
    );
  });

  it("E2: a text is cut into texts of at most the length that was asked for", () => {
    fc.assert(
      fc.property(text, fc.integer({ min: 4, max: 20 }), (value, maxBytes) => {
        const bytes = Buffer.from(value);
        let rest: Uint8Array = bytes;
        while (rest.byteLength > 0) {
          const cutBytes = cutBetweenCharacters(rest, maxBytes);
          expect(cutBytes).toBeGreaterThan(Math.min(rest.byteLength, maxBytes) - 4);
          expect(cutBytes).toBeLessThanOrEqual(maxBytes);
          expect(isUtf8(rest.subarray(0, cutBytes))).toBe(true);
          rest = rest.subarray(cutBytes);
        }
      }),
    );
  });

  it("E2: bytes that are no text are cut at the length that was asked for, and never at nothing", () => {
    expect(cutBetweenCharacters(new Uint8Array(100).fill(0x80), 10)).toBe(10);
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1 }), fc.integer({ min: 1, max: 20 }), (bytes, maxBytes) => {
        expect(cutBetweenCharacters(bytes, maxBytes)).toBeGreaterThan(0);
      }),
    );
  });
});
