import { isUtf8 } from "node:buffer";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MAX_OUTPUT_CHUNK_BYTES } from "@cortex-mesh/protocol";
import { createVirtualClock } from "@cortex-mesh/testing";
import { CHARACTER_WAIT_MS, createStreamWriter } from "../../src/runner/stream-writer.js";
import { settle } from "../support/wait-until.js";

function openWriter(emit: (record: Uint8Array) => Promise<void> = async () => {}) {
  const clock = createVirtualClock();
  const records: Buffer[] = [];
  const writer = createStreamWriter(clock, (record) => {
    records.push(Buffer.from(record));
    return emit(record);
  });
  return { clock, records, writer };
}

/** Cuts bytes at the given places, which may repeat and be out of range. */
function cutAt(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const ends = [...places.map((place) => Math.min(place, bytes.byteLength)), bytes.byteLength].sort((a, b) => a - b);
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
}

const places = fc.array(fc.nat(400), { maxLength: 20 });

describe("one stream of output", () => {
  it("E2: however a text is cut on its way, each record is text and the text is the same", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "grapheme", maxLength: 100 }), places, async (text, at) => {
        const { records, writer } = openWriter();
        for (const chunk of cutAt(Buffer.from(text), at)) await writer.write(chunk);
        await writer.end();
        expect(Buffer.concat(records).toString()).toBe(text);
        for (const record of records) expect(isUtf8(record)).toBe(true);
      }),
    );
  });

  it("E2: bytes that are no text are the same bytes after it, and none is left behind", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), places, async (bytes, at) => {
        const { records, writer } = openWriter();
        for (const chunk of cutAt(bytes, at)) await writer.write(chunk);
        await writer.end();
        expect(Buffer.compare(Buffer.concat(records), bytes)).toBe(0);
      }),
    );
  });

  it("E2: a chunk over the length of a record is cut between two characters", async () => {
    const { records, writer } = openWriter();
    const text = "€".repeat(MAX_OUTPUT_CHUNK_BYTES / 2);
    await writer.write(Buffer.from(text));
    expect(records.every((record) => isUtf8(record) && record.byteLength <= MAX_OUTPUT_CHUNK_BYTES)).toBe(true);
    expect(Buffer.concat(records).toString()).toBe(text);
  });

  it("E2: the start of a character whose rest does not come is output after a short time", async () => {
    const { clock, records, writer } = openWriter();
    await writer.write(Buffer.from([0x61, 0xe2, 0x82]));
    expect(Buffer.concat(records)).toEqual(Buffer.from("a"));
    await clock.advance(CHARACTER_WAIT_MS);
    expect(Buffer.concat(records)).toEqual(Buffer.from([0x61, 0xe2, 0x82]));
    await writer.write(Buffer.from([0xac]));
    expect(Buffer.concat(records).toString()).toBe("a€");
  });

  it("E2: what waited goes out before what comes after it, also when the log is slow", async () => {
    const releases: (() => void)[] = [];
    const { clock, records, writer } = openWriter(() => new Promise((resolve) => void releases.push(resolve)));
    const first = writer.write(Buffer.from([0xe2]));
    await first;
    await clock.advance(CHARACTER_WAIT_MS);
    const second = writer.write(Buffer.from("later"));
    await settle();
    expect(records).toEqual([Buffer.from([0xe2])]);
    releases.shift()?.();
    await settle();
    releases.shift()?.();
    await second;
    expect(Buffer.concat(records)).toEqual(Buffer.concat([Buffer.from([0xe2]), Buffer.from("later")]));
  });
});
