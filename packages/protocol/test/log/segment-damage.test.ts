import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isCortexError } from "../../src/errors.js";
import { openSegmentLog } from "../../src/log/open-segment-log.js";
import type { LogDamage, SegmentLog, SegmentLogOptions } from "../../src/log/segment-log.js";
import { type CrashDisk, createCrashDisk } from "./support/crash-disk.js";
import { appendTexts, codeOf, textsTo } from "./support/use-logs.js";

const DIRECTORY = "/log";
const COUNT = 60;
/** Ten records of one segment. */
const SEGMENT_BYTES = 330;

interface Damaged {
  readonly disk: CrashDisk;
  readonly damage: LogDamage[];
  open(options?: Partial<SegmentLogOptions>): Promise<SegmentLog>;
}

/** A log of several segments, closed, that tolerates damage when it is opened again. */
async function writeLog(): Promise<Damaged> {
  const disk = createCrashDisk();
  const log = await openSegmentLog({ directory: DIRECTORY, files: disk.start(), segmentBytes: SEGMENT_BYTES });
  for (const text of textsTo(COUNT)) {
    appendTexts(log, [text]);
    await log.flush();
  }
  await log.close();
  const damage: LogDamage[] = [];
  const onDamage = async (found: LogDamage): Promise<void> => void damage.push(found);
  return {
    disk,
    damage,
    open: (options) =>
      openSegmentLog({ directory: DIRECTORY, files: disk.start(), onDamage, memoryBytes: 0, ...options }),
  };
}

/** What a reader that steps over holes gets, as a text for each record and `from-through` for each hole. */
async function readOver(log: SegmentLog, afterSeq = 0): Promise<string[]> {
  const found: string[] = [];
  let cursor = afterSeq;
  while (cursor < log.nextSeq - 1) {
    try {
      const records = await log.read({ afterSeq: cursor, maxBytes: 100 });
      for (const { seq, payload } of records) {
        expect(seq).toBe((cursor += 1));
        found.push(Buffer.from(payload).toString());
      }
    } catch (error) {
      if (!isCortexError(error) || error.code !== "PAST_RETENTION") throw error;
      const through = Number(error.details["earliest"]) - 1;
      expect(through).toBeGreaterThan(cursor);
      found.push(`${cursor + 1}-${through}`);
      cursor = through;
    }
  }
  return found;
}

function flip(disk: CrashDisk, path: string, offset: number): void {
  const content = disk.read(path);
  content[offset] = (content[offset] ?? 0) ^ 1;
  disk.write(path, content);
}

/** What is left when the records from one number through another are lost. */
function without(from: number, through: number): string[] {
  const texts = textsTo(COUNT);
  return [...texts.slice(0, from - 1), `${from}-${through}`, ...texts.slice(through)];
}

describe("a damaged log whose owner goes on", () => {
  it.each([
    ["first", 0],
    ["a middle", 2],
    ["the last", -1],
  ])("T8: a flipped bit in %s segment costs the rest of that segment and nothing else", async (_, index) => {
    const { disk, damage, open } = await writeLog();
    const paths = disk.paths();
    const path = paths.at(index) ?? "";
    const first = Number(/(\d+)\.seg$/.exec(path)?.[1]);
    const next = index === -1 ? COUNT + 1 : Number(/(\d+)\.seg$/.exec(paths[index + 1] ?? "")?.[1]);
    flip(disk, path, 24 + 2 * 32 + 30);
    await using log = await open({ lastSeq: COUNT });
    expect(await readOver(log)).toEqual(without(first + 2, next - 1));
    expect(damage).toHaveLength(1);
    expect(damage[0]).toMatchObject({ path, seq: first + 2 });
    expect(log.recovered.damagedBytes).toBe(damage[0]?.sizeBytes);
    expect(log.nextSeq).toBe(COUNT + 1);
  });

  it("T8: a segment whose header is damaged, or that is gone, is a hole of its records", async () => {
    for (const isGone of [false, true]) {
      const { disk, open } = await writeLog();
      const [, path = "", third = ""] = disk.paths();
      const first = Number(/(\d+)\.seg$/.exec(path)?.[1]);
      const next = Number(/(\d+)\.seg$/.exec(third)?.[1]);
      if (isGone) disk.remove(path);
      else flip(disk, path, 3);
      await using log = await open();
      expect(await readOver(log)).toEqual(without(first, next - 1));
    }
  });

  it("T8: the end that is lost is a hole up to the last record that there was", async () => {
    const { disk, open } = await writeLog();
    const last = disk.paths().at(-1) ?? "";
    const first = Number(/(\d+)\.seg$/.exec(last)?.[1]);
    disk.remove(last);
    await using log = await open({ lastSeq: COUNT });
    expect(await readOver(log)).toEqual(without(first, COUNT));
  });

  it("T8: when the last record is not known, the hole at the end ends past every record there may have been", async () => {
    const { disk, open } = await writeLog();
    const last = disk.paths().at(-1) ?? "";
    flip(disk, last, 24 + 30);
    await using log = await open();
    expect(log.nextSeq).toBeGreaterThan(COUNT);
    appendTexts(log, ["goes on"]);
    await log.flush();
    const seen = await readOver(log);
    expect(seen.at(-1)).toBe("goes on");
    await log.close();
    await using again = await open();
    expect(await readOver(again)).toEqual(seen);
  });

  it("T8: damage that a read finds is a hole as well, after what is before it", async () => {
    const { disk, damage, open } = await writeLog();
    const [, path = "", third = ""] = disk.paths();
    await using log = await open();
    const first = Number(/(\d+)\.seg$/.exec(path)?.[1]);
    const next = Number(/(\d+)\.seg$/.exec(third)?.[1]);
    flip(disk, path, 24 + 2 * 32 + 30);
    expect(await readOver(log)).toEqual(without(first + 2, next - 1));
    expect(damage).toEqual([expect.objectContaining({ path, seq: first + 2 })]);
  });

  it("T8: without somebody who takes note, damage is an error and changes nothing", async () => {
    const { disk } = await writeLog();
    const path = disk.paths()[1] ?? "";
    flip(disk, path, 24 + 30);
    const before = disk.read(path);
    await expect(openSegmentLog({ directory: DIRECTORY, files: disk.start() })).rejects.toThrow(codeOf("DATA_CORRUPT"));
    expect(disk.read(path)).toEqual(before);
  });

  it("T8: whatever is flipped, cut or removed, the log opens, and all records that are read are right", async () => {
    const fault = fc.record({
      kind: fc.constantFrom("flip" as const, "cut" as const, "remove" as const),
      segment: fc.nat(9),
      offset: fc.nat(400),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(fault, { minLength: 1, maxLength: 4 }), async (faults) => {
        const { disk, open } = await writeLog();
        for (const { kind, segment, offset } of faults) {
          const path = disk.paths()[segment % Math.max(1, disk.paths().length)];
          if (path === undefined) continue;
          const content = disk.read(path);
          if (kind === "flip" && content.byteLength > 0) flip(disk, path, offset % content.byteLength);
          if (kind === "cut") disk.write(path, content.subarray(0, offset));
          if (kind === "remove") disk.remove(path);
        }
        await using log = await open({ lastSeq: COUNT });
        const right = textsTo(COUNT);
        let seq = 0;
        for (const found of await readOver(log)) {
          const hole = /^(\d+)-(\d+)$/.exec(found);
          if (hole === null) expect(found).toBe(right[seq++]);
          else seq = Number(hole[2]);
        }
        expect(seq).toBe(COUNT);
      }),
      { numRuns: 60 },
    );
  });
});
