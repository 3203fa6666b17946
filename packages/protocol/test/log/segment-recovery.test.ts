import { copyFile, mkdir, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openSegmentLog } from "../../src/log/open-segment-log.js";
import { RECORD_HEADER_BYTES } from "../../src/log/record-codec.js";
import { SEGMENT_HEADER_BYTES } from "../../src/log/segment-header.js";
import type { SegmentLog } from "../../src/log/segment-log.js";
import { createCrashDisk } from "./support/crash-disk.js";
import type { TempDir } from "./support/open-temp-dir.js";
import { openTempDir } from "./support/open-temp-dir.js";
import { readAll, textsOf } from "./support/read-all.js";

let dir: TempDir;
let directory: string;

beforeEach(async () => {
  dir = await openTempDir();
  directory = join(dir.path, "log");
});

afterEach(() => dir[Symbol.asyncDispose]());

const TEXTS = ["alpha", "", "gamma", "a longer record at the end"];
const ENDS = TEXTS.map((_, index) =>
  TEXTS.slice(0, index + 1).reduce((sum, text) => sum + RECORD_HEADER_BYTES + text.length, SEGMENT_HEADER_BYTES),
);

/** Writes a small log and gives the paths of its segments. */
async function writeLog(segmentBytes?: number): Promise<string[]> {
  const log = await openSegmentLog({ directory, ...(segmentBytes === undefined ? {} : { segmentBytes }) });
  for (const text of TEXTS) log.append(1, Buffer.from(text));
  await log.close();
  return (await readdir(directory)).sort().map((name) => join(directory, name));
}

/** Opens the log, says what is in it, and goes on with it. */
async function reopen(): Promise<{ texts: string[]; cutBytes: number; nextSeq: number }> {
  await using log = await openSegmentLog({ directory, memoryBytes: 0 });
  const { nextSeq, recovered } = log;
  const texts = textsOf(await readAll(log, 0));
  log.append(1, Buffer.from("next"));
  await log.flush();
  expect(textsOf(await readAll(log, 0))).toEqual([...texts, "next"]);
  return { texts, cutBytes: recovered.cutBytes, nextSeq };
}

const corruptAt = (place: object): unknown =>
  expect.objectContaining({ code: "DATA_CORRUPT", details: expect.objectContaining(place) as unknown });

describe("opening a log again", () => {
  it("T8: a file cut at any byte opens as a prefix and says how much was cut", async () => {
    const [path = ""] = await writeLog();
    const whole = await readFile(path);
    for (let length = 0; length <= whole.byteLength; length += 1) {
      await writeFile(path, whole.subarray(0, length));
      const keptCount = ENDS.filter((end) => end <= length).length;
      const keptBytes =
        keptCount > 0 ? (ENDS[keptCount - 1] ?? 0) : length >= SEGMENT_HEADER_BYTES ? SEGMENT_HEADER_BYTES : 0;
      const expected = { texts: TEXTS.slice(0, keptCount), cutBytes: length - keptBytes, nextSeq: keptCount + 1 };
      expect(await reopen(), `cut at ${length}`).toEqual(expected);
    }
  });

  it("T8: a flipped bit anywhere before the last record is corruption with its place, and changes nothing on disk", async () => {
    const [path = ""] = await writeLog();
    const whole = await readFile(path);
    for (let offset = 0; offset < (ENDS.at(-2) ?? 0); offset += 1) {
      const damaged = Buffer.from(whole);
      damaged[offset] = (damaged[offset] ?? 0) ^ (1 << (offset % 8));
      await writeFile(path, damaged);
      const index = ENDS.findIndex((end) => offset < end);
      const isHeader = offset < SEGMENT_HEADER_BYTES;
      const recordOffset = isHeader ? 0 : (ENDS[index - 1] ?? SEGMENT_HEADER_BYTES);
      const place = { path, offset: recordOffset, seq: index + 1 };
      await expect(openSegmentLog({ directory }), `bit of byte ${offset}`).rejects.toThrow(corruptAt(place));
      expect(await readFile(path)).toEqual(damaged);
    }
  });

  it("T8: a flipped bit in the last record is an unfinished write and is cut", async () => {
    const [path = ""] = await writeLog();
    const whole = await readFile(path);
    for (let offset = ENDS.at(-2) ?? 0; offset < whole.byteLength; offset += 1) {
      const damaged = Buffer.from(whole);
      damaged[offset] = (damaged[offset] ?? 0) ^ 0x10;
      await writeFile(path, damaged);
      const { texts, cutBytes } = await reopen();
      expect(texts).toEqual(TEXTS.slice(0, -1));
      expect(cutBytes).toBe(whole.byteLength - (ENDS.at(-2) ?? 0));
    }
  });

  it("T8: zeros after the records, as a lost write leaves them, are cut", async () => {
    const [path = ""] = await writeLog();
    const whole = await readFile(path);
    await writeFile(path, Buffer.concat([whole, Buffer.alloc(5_000)]));
    expect(await reopen()).toMatchObject({ texts: TEXTS, cutBytes: 5_000 });
    await writeFile(path, Buffer.alloc(5_000));
    expect(await reopen()).toMatchObject({ texts: [], cutBytes: 5_000, nextSeq: 1 });
  });

  it("T8: a segment before the last that is cut or damaged is corruption, a missing one too", async () => {
    const paths = await writeLog(1);
    expect(paths).toHaveLength(TEXTS.length);
    const copies = join(dir.path, "copies");
    await mkdir(copies);
    for (const path of paths) await copyFile(path, join(copies, path.slice(directory.length + 1)));
    const second = paths[1] ?? "";
    const size = (await readFile(second)).byteLength;
    for (const length of [0, 10, SEGMENT_HEADER_BYTES, size - 1]) {
      await truncate(second, length);
      await expect(openSegmentLog({ directory }), `cut at ${length}`).rejects.toThrow(/damaged/);
      await copyFile(join(copies, second.slice(directory.length + 1)), second);
    }
    await rm(second);
    await expect(openSegmentLog({ directory })).rejects.toThrow(corruptAt({ path: paths[2], seq: 2 }));
  });

  it("T8: a segment under another segment's name is corruption", async () => {
    const [path = ""] = await writeLog();
    await copyFile(path, join(directory, "0000000000000005.seg"));
    await expect(openSegmentLog({ directory })).rejects.toThrow(corruptAt({ seq: 5, offset: 0 }));
  });

  it("T8: output that imitates records does not turn an unfinished write into corruption", async () => {
    // What a task writes that knows the format, and of the salt even the part that marks records.
    const other = join(dir.path, "other");
    const otherLog = await openSegmentLog({ directory: other, createSalt: () => 0x1234_5678 });
    for (const text of TEXTS) otherLog.append(1, Buffer.from(text));
    await otherLog.close();
    const imitation = await readFile(join(other, "0000000000000001.seg"));
    const log = await openSegmentLog({ directory, createSalt: () => 0x8765_4378 });
    log.append(1, Buffer.from("mine"));
    log.append(1, imitation.subarray(SEGMENT_HEADER_BYTES));
    await log.close();
    const path = join(directory, "0000000000000001.seg");
    await truncate(path, (await readFile(path)).byteLength - 1);
    expect((await reopen()).texts).toEqual(["mine"]);
  });

  it("T8: damage that a read meets is named, too", async () => {
    const [path = ""] = await writeLog();
    await using log = await openSegmentLog({ directory, memoryBytes: 0 });
    const bytes = await readFile(path);
    bytes[(ENDS[0] ?? 0) + 3] = 0xff;
    await writeFile(path, bytes);
    await expect(log.read({ afterSeq: 1 })).rejects.toThrow(corruptAt({ path, offset: ENDS[0], seq: 2 }));
  });

  it("T8: files that are no segments are left alone", async () => {
    await writeLog();
    await writeFile(join(directory, "notes.txt"), "mine");
    expect((await reopen()).texts).toEqual(TEXTS);
    const log = await openSegmentLog({ directory });
    await log.delete();
    expect(await readdir(directory)).toEqual(["notes.txt"]);
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
    const disk = createCrashDisk();
    const open = (): Promise<SegmentLog> =>
      openSegmentLog({ directory: "/log", files: disk.start(), segmentBytes, memoryBytes: 300 });
    let log = await open();
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
        log = await open();
        await checkOpened();
      } else if (kind === "crash") {
        let state = value;
        disk.crash((max) => {
          state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
          return Math.floor((state / 2_147_483_648) * (max + 1));
        });
        // The process is gone with the power; its pending writes fail on the dead files.
        await log.close().catch(() => undefined);
        log = await open();
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
      { numRuns: Number(process.env["RUNS"] ?? 200) },
    );
  });
});
