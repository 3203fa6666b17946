import { describe, expect, it } from "vitest";
import type { Bar, Measurement, Row } from "../src/row.js";
import { describeBar, judgeRow } from "../src/verdict.js";

const rowWith = (bar: Bar): Row => ({
  name: "row",
  what: "what",
  floor: "floor",
  bar,
  measure: () => Promise.resolve([]),
});
const measured = (...pairs: readonly (readonly [floor: number, subject: number])[]) => ({
  name: "row",
  state: "measured" as const,
  measurements: pairs.map(
    ([floor, subject], index): Measurement => ({
      label: String(index),
      unit: "us",
      floor: [floor, floor * 100, 0],
      subject: [subject, 0, subject * 100],
      facts: {},
    }),
  ),
});

describe("the verdict on a row", () => {
  it("holds the ratio of the medians against the bar, the bar itself included", () => {
    const atMost = rowWith({ kind: "atMost", ratio: 1.5 });
    expect(judgeRow(atMost, measured([10, 15])).outcome).toBe("pass");
    expect(judgeRow(atMost, measured([10, 15.1])).outcome).toBe("fail");
    const atLeast = rowWith({ kind: "atLeast", ratio: 4 });
    expect(judgeRow(atLeast, measured([10, 40])).outcome).toBe("pass");
    expect(judgeRow(atLeast, measured([10, 39])).outcome).toBe("fail");
    expect(judgeRow(atLeast, measured([10, 39])).measurements[0]?.ratio).toBeCloseTo(3.9);
  });

  it("fails whatever the ratio is when the floor is less than half as good as it is known to be", () => {
    const slow = { ...rowWith({ kind: "atMost", ratio: 1.5 }), knownFloor: 10 };
    expect(judgeRow(slow, measured([20, 20])).outcome).toBe("pass");
    expect(judgeRow(slow, measured([20.1, 20]))).toMatchObject({
      outcome: "fail",
      reason: expect.stringContaining("floor is broken"),
    });
    const few = { ...rowWith({ kind: "atLeast", ratio: 4 }), knownFloor: 10 };
    expect(judgeRow(few, measured([5, 40])).outcome).toBe("pass");
    expect(judgeRow(few, measured([4.9, 40])).outcome).toBe("fail");
  });

  it("fails when the floor is nothing or less, known or not", () => {
    const less = { name: "row", state: "measured" as const };
    const figures = { label: "memory", unit: "KiB", floor: [-68], subject: [188], facts: {} };
    const judged = judgeRow(rowWith({ kind: "atMost", ratio: 1.3 }), { ...less, measurements: [figures] });
    expect(judged).toMatchObject({ outcome: "fail", reason: expect.stringContaining("floor is broken (-68 KiB)") });
    expect(judged.measurements[0]?.isWithinBar).toBe(false);
  });

  it("passes only when each of the measurements does", () => {
    const row = rowWith({ kind: "atLeast", ratio: 2 });
    const judged = judgeRow(row, measured([10, 30], [10, 10]));
    expect(judged.outcome).toBe("fail");
    expect(judged.measurements.map(({ isWithinBar }) => isWithinBar)).toEqual([true, false]);
  });

  it("a row without measurements fails, and one that could not run says why", () => {
    const row = rowWith({ kind: "atMost", ratio: 1 });
    expect(judgeRow(row, measured()).outcome).toBe("fail");
    const judged = judgeRow(row, { name: "row", state: "notRun", reason: "no disk" });
    expect(judged).toMatchObject({ outcome: "not-run", reason: "no disk", measurements: [] });
  });

  it("a bar reads as it is checked", () => {
    expect(describeBar({ kind: "atMost", ratio: 1.3 })).toBe("<= 1.3x");
    expect(describeBar({ kind: "atLeast", ratio: 40 })).toBe(">= 40x");
  });
});
