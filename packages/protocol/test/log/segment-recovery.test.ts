import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { openSegmentLog } from "../../src/log/open-segment-log.js";
import { RECORD_HEADER_BYTES } from "../../src/log/record-codec.js";
import { SEGMENT_HEADER_BYTES } from "../../src/log/segment-header.js";
import type { SegmentLog, SegmentLogOptions } from "../../src/log/segment-log.js";
import type { CrashDisk } from "./support/crash-disk.js";
import { createCrashDisk } from "./support/crash-disk.js";
import { readAll, textsOf } from "./support/read-all.js";
import { appendTexts, codeOf } from "./support/use-logs.js";

const DIRECTORY = "/log";
const FIRST = `${DIRECTORY}/0000000000000001.seg`;
const TEXTS = ["alpha", "", "gamma", "a longer record at the end"];
const ENDS = TEXTS.map((_, index) =>
  TEXTS.slice(0, index + 1).reduce((sum, text) => sum + RECORD_HEADER_BYTES + text.length, SEGMENT_HEADER_BYTES),
);
const LAST_START = ENDS.at(-2) ?? 0;

let disk: CrashDisk;

beforeEach(() => {
  disk = createCrashDisk();
});

function open(options: Partial<SegmentLogOptions> = {}): Promise<SegmentLog> {
  return openSegmentLog({ directory: DIRECTORY, files: disk.start(), ...options });
}

/** Writes a small log and gives the content of its first segment. */
async function writeLog(options: Partial<SegmentLogOptions> = {}): Promise<Buffer> {
  const log = await open(options);
  appendTexts(log, TEXTS);
  await log.close();
  return disk.read(FIRST);
}

/** Opens the log, says what is in it, and goes on with it. */
async function reopen(): Promise<{ texts: string[]; cutBytes: number; nextSeq: number }> {
  await using log = await open({ memoryBytes: 0 });
  const { nextSeq, recovered } = log;
  const texts = textsOf(await readAll(log, 0));
  appendTexts(log, ["next"]);
  await log.flush();
  expect(textsOf(await readAll(log, 0))).toEqual([...texts, "next"]);
  return { texts, cutBytes: recovered.cutBytes, nextSeq };
}

function flipBit(content: Buffer, offset: number): Buffer {
  const flipped = Buffer.from(content);
  flipped[offset] = (flipped[offset] ?? 0) ^ (1 << (offset % 8));
  return flipped;
}

function corruptAt(place: object): unknown {
  return expect.objectContaining({ code: "DATA_CORRUPT", details: expect.objectContaining(place) as unknown });
}

describe("opening a log again", () => {
  it("T8: a file cut at any byte opens as a prefix and says how much was cut", async () => {
    const whole = await writeLog();
    for (let length = 0; length <= whole.byteLength; length += 1) {
      disk.write(FIRST, whole.subarray(0, length));
      const keptCount = ENDS.filter((end) => end <= length).length;
      const headerBytes = length >= SEGMENT_HEADER_BYTES ? SEGMENT_HEADER_BYTES : 0;
      const keptBytes = ENDS[keptCount - 1] ?? headerBytes;
      const expected = { texts: TEXTS.slice(0, keptCount), cutBytes: length - keptBytes, nextSeq: keptCount + 1 };
      expect(await reopen(), `cut at ${length}`).toEqual(expected);
    }
  });

  it("T8: a flipped bit anywhere before the last record is corruption with its place, and changes nothing on disk", async () => {
    const whole = await writeLog();
    for (let offset = 0; offset < LAST_START; offset += 1) {
      const damaged = flipBit(whole, offset);
      disk.write(FIRST, damaged);
      const index = ENDS.findIndex((end) => offset < end);
      const isHeader = offset < SEGMENT_HEADER_BYTES;
      const recordOffset = isHeader ? 0 : (ENDS[index - 1] ?? SEGMENT_HEADER_BYTES);
      const place = { path: FIRST, offset: recordOffset, seq: index + 1 };
      await expect(open(), `bit of byte ${offset}`).rejects.toThrow(corruptAt(place));
      expect(disk.read(FIRST)).toEqual(damaged);
    }
  });

  it("T8: a flipped bit in the last record is an unfinished write and is cut", async () => {
    const whole = await writeLog();
    for (let offset = LAST_START; offset < whole.byteLength; offset += 1) {
      disk.write(FIRST, flipBit(whole, offset));
      const { texts, cutBytes } = await reopen();
      expect(texts).toEqual(TEXTS.slice(0, -1));
      expect(cutBytes).toBe(whole.byteLength - LAST_START);
    }
  });

  it("T8: zeros after the records, as a lost write leaves them, are cut", async () => {
    const whole = await writeLog();
    disk.write(FIRST, Buffer.concat([whole, Buffer.alloc(5_000)]));
    expect(await reopen()).toMatchObject({ texts: TEXTS, cutBytes: 5_000 });
    disk.write(FIRST, Buffer.alloc(5_000));
    expect(await reopen()).toMatchObject({ texts: [], cutBytes: 5_000, nextSeq: 1 });
  });

  it("T8: damage is told from an unfinished write over any distance", async () => {
    const log = await open();
    for (let seq = 1; seq <= 4; seq += 1) log.append(1, new Uint8Array(1_000_000).fill(seq));
    await log.close();
    const whole = disk.read(FIRST);
    disk.write(FIRST, flipBit(whole, SEGMENT_HEADER_BYTES + 4));
    await expect(open()).rejects.toThrow(corruptAt({ offset: SEGMENT_HEADER_BYTES, seq: 1 }));
    disk.write(FIRST, whole.subarray(0, -1));
    expect((await reopen()).nextSeq).toBe(4);
  });

  it("T8: a segment before the last that is cut or damaged is corruption, a missing one too", async () => {
    await writeLog({ segmentBytes: 1 });
    const [, second = "", third = ""] = disk.paths();
    const whole = disk.read(second);
    for (const length of [0, 10, SEGMENT_HEADER_BYTES, whole.byteLength - 1]) {
      disk.write(second, whole.subarray(0, length));
      await expect(open(), `cut at ${length}`).rejects.toThrow(/0002\.seg is damaged|0003\.seg is damaged/);
      expect(disk.read(second)).toEqual(whole.subarray(0, length));
    }
    disk.remove(second);
    await expect(open()).rejects.toThrow(corruptAt({ path: third, seq: 2 }));
  });

  it("T8: a segment under another segment's name is corruption", async () => {
    const fifth = `${DIRECTORY}/0000000000000005.seg`;
    disk.write(fifth, await writeLog());
    await expect(open()).rejects.toThrow(corruptAt({ path: fifth, seq: 5, offset: 0 }));
  });

  it("T8: a record with another number than its place is corruption", async () => {
    const whole = await writeLog({ createSalt: () => 7 });
    const again = whole.subarray(SEGMENT_HEADER_BYTES, ENDS[0]);
    disk.write(FIRST, Buffer.concat([whole, again]));
    await expect(open()).rejects.toThrow(corruptAt({ offset: whole.byteLength, seq: 5 }));
  });

  it("T8: a segment of nothing but a header takes the next record, however small segments are", async () => {
    await writeLog({ segmentBytes: 1 });
    const last = disk.paths().at(-1) ?? "";
    disk.write(last, disk.read(last).subarray(0, SEGMENT_HEADER_BYTES));
    const log = await open({ segmentBytes: 1 });
    appendTexts(log, ["instead"]);
    log.ack(3);
    await log.close();
    expect(disk.paths()).toEqual([last]);
    expect(textsOf(await readAll(await open()))).toEqual(["instead"]);
  });

  it("T8: output that imitates records does not turn an unfinished write into corruption", async () => {
    // What a task writes that knows the format, and of the salt even the part that marks records.
    const imitation = await writeLog({ createSalt: () => 0x1234_5678 });
    disk.remove(FIRST);
    const log = await open({ createSalt: () => 0x8765_4378 });
    appendTexts(log, ["mine"]);
    log.append(1, imitation.subarray(SEGMENT_HEADER_BYTES));
    await log.close();
    disk.write(FIRST, disk.read(FIRST).subarray(0, -1));
    expect((await reopen()).texts).toEqual(["mine"]);
  });

  it("T8: damage that a read meets is named, too", async () => {
    const whole = await writeLog();
    const log = await open({ memoryBytes: 0 });
    disk.write(FIRST, flipBit(whole, (ENDS[0] ?? 0) + 3));
    await expect(log.read({ afterSeq: 1 })).rejects.toThrow(corruptAt({ path: FIRST, offset: ENDS[0], seq: 2 }));
    disk.write(FIRST, whole.subarray(0, ENDS[2]));
    await expect((await open()).read({ afterSeq: 2 })).resolves.toHaveLength(1);
  });

  it("T8: files that are no segments are left alone", async () => {
    await writeLog();
    disk.write(`${DIRECTORY}/notes.txt`, Buffer.from("mine"));
    expect((await reopen()).texts).toEqual(TEXTS);
    const log = await open();
    await log.delete();
    expect(disk.paths()).toEqual([`${DIRECTORY}/notes.txt`]);
    await expect(log.read({ afterSeq: 0 })).rejects.toThrow(codeOf("UNAVAILABLE"));
  });
});

describe("a machine that loses power", () => {
  type Step = { readonly kind: "append" | "flush" | "ack" | "read" | "crash" | "reopen"; readonly value: number };
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 8, arbitrary: fc.record({ kind: fc.constant("append" as const), value: fc.nat(120) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("flush" as const), value: fc.constant(0) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom("ack" as const, "read" as const), value: fc.nat(100) }) },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constantFrom("crash" as const, "reopen" as const), value: fc.nat(10_000) }),
    },
  );

  /** Runs the steps and checks, after each opening, that what was flushed and not acknowledged is there, in order. */
  async function runSteps(steps: readonly Step[], segmentBytes: number): Promise<void> {
    disk = createCrashDisk();
    const openAgain = (): Promise<SegmentLog> => open({ segmentBytes, memoryBytes: 300 });
    let log = await openAgain();
    let appended: string[] = [];
    let durableCount = 0;
    let ackedCount = 0;
    let serial = 0;
    const checkOpened = async (): Promise<void> => {
      const keptCount = log.nextSeq - 1;
      expect(keptCount).toBeGreaterThanOrEqual(durableCount);
      expect(keptCount).toBeLessThanOrEqual(appended.length);
      appended = appended.slice(0, keptCount);
      ackedCount = Math.min(ackedCount, keptCount);
      expect(log.firstSeq).toBeLessThanOrEqual(ackedCount + 1);
      expect(textsOf(await readAll(log))).toEqual(appended.slice(log.firstSeq - 1));
    };
    for (const { kind, value } of steps) {
      if (kind === "append") {
        appended.push(`${(serial += 1)}:`.padEnd(value, "x"));
        log.append(1, Buffer.from(appended.at(-1) ?? ""));
        for (let turn = 0; turn < value % 7; turn += 1) await Promise.resolve();
      } else if (kind === "flush") {
        await log.flush();
        durableCount = appended.length;
      } else if (kind === "ack" && appended.length > 0) {
        const throughSeq = 1 + (value % appended.length);
        log.ack(throughSeq);
        ackedCount = Math.max(ackedCount, throughSeq);
      } else if (kind === "read") {
        const afterSeq = Math.max(ackedCount, value % (appended.length + 1));
        expect(textsOf(await readAll(log, afterSeq, 1 + value))).toEqual(appended.slice(afterSeq));
      } else if (kind === "reopen") {
        await log.close();
        durableCount = appended.length;
        log = await openAgain();
        await checkOpened();
      } else if (kind === "crash") {
        let state = value;
        disk.crash((max) => {
          state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
          return Math.floor((state / 2_147_483_648) * (max + 1));
        });
        // The process is gone with the power; its pending writes fail on the dead files.
        await log.close().catch(() => undefined);
        log = await openAgain();
        await checkOpened();
      }
    }
    await log.close();
  }

  it("T8: whatever is appended, flushed, acknowledged and crashed, what was flushed is there, in order, without a gap", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 500 }), (steps, segmentBytes) =>
        runSteps(steps, segmentBytes),
      ),
      { numRuns: 200 },
    );
  });
});
