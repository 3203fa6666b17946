/** The parts of the long run that decide: what it is asked for, and what counts as flat. */
import { describe, expect, it } from "vitest";
import { openChecks } from "./checks.js";
import { isWhole, readLongRunOptions } from "./options.js";
import { readCounts } from "./simulations.js";
import { fitTrend, type TimedFigure } from "./trend.js";

const SEED = 4711;

describe("options of the long run", () => {
  it("L5: a run without flags is a whole one, with the seed that it was given", () => {
    const options = readLongRunOptions([], SEED);
    expect(options).toMatchObject({ seed: SEED, simulations: 10_000, minutes: 10 });
    expect(isWhole(options)).toBe(true);
  });

  it("L5: a shortened run is told apart from a whole one", () => {
    expect(isWhole(readLongRunOptions(["--minutes", "1", "--seed", "3"], SEED))).toBe(false);
    expect(isWhole(readLongRunOptions(["--hub-kills", "0"], SEED))).toBe(false);
  });

  it.each([["--minutes", "soon"], ["--seeds", "-1"], ["--minutes", ""], ["--bogus"]])(
    "L5: refuses %s %s",
    (...args) => {
      expect(() => readLongRunOptions(args, SEED)).toThrow(/--/);
    },
  );
});

describe("a trend", () => {
  const series = (value: (atS: number) => number): TimedFigure[] =>
    Array.from({ length: 60 }, (_, index) => ({ atS: index * 10, value: value(index * 10) }));

  it("L5: what grows steadily grows by its whole way", () => {
    expect(fitTrend(series((atS) => 100 + atS / 10)).growth).toBeCloseTo(59);
  });

  it("L5: what goes up and down stays flat", () => {
    const { growth, median } = fitTrend(series((atS) => 100 + (atS % 20)));
    expect(Math.abs(growth)).toBeLessThan(2);
    expect(median).toBe(110);
  });
});

it("L5: the faults of the simulator are read from what it says", () => {
  const said = "12 histories\nfaults: drop 200, cut both 0\ncrash points: hub store:committing 3\n";
  expect(readCounts(said)).toEqual([
    { name: "drop", count: 200 },
    { name: "cut both", count: 0 },
    { name: "hub store:committing", count: 3 },
  ]);
});

it("L5: a fault that never happened fails the run", () => {
  const checks = openChecks();
  checks.happened("hub killed", 0);
  checks.happened("node killed", 3);
  expect(checks.results.map(({ isPassed }) => isPassed)).toEqual([false, true]);
});
