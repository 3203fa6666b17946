/** Holds measurements against their bar. Pure. */
import type { Bar, Measurement, Row, RowResult } from "./row.js";
import { median, spreadRatio } from "./statistics.js";

/** What is said of a row. */
export type Outcome = "pass" | "fail" | "not-run";

/** A measurement with what follows from it. */
export interface JudgedMeasurement extends Measurement {
  readonly floorMedian: number;
  readonly subjectMedian: number;
  readonly floorSpreadRatio: number;
  readonly subjectSpreadRatio: number;
  /** Our median divided by the floor's. */
  readonly ratio: number;
  /** False as well when the floor is broken. */
  readonly isWithinBar: boolean;
}

/** A row with its verdict. */
export interface JudgedRow {
  readonly name: string;
  readonly what: string;
  readonly floor: string;
  readonly bar: Bar;
  readonly outcome: Outcome;
  /** Why it was not run, or why its floor counts for nothing. */
  readonly reason?: string;
  readonly measurements: readonly JudgedMeasurement[];
}

/** Judges one row: it passes when each of its measurements is within the bar and no floor is broken. */
export function judgeRow(row: Row, result: RowResult): JudgedRow {
  const { name, what, floor, bar } = row;
  if (result.state === "notRun") {
    return { name, what, floor, bar, outcome: "not-run", reason: result.reason, measurements: [] };
  }
  const measurements = result.measurements.map((measurement) => judge(measurement, row));
  const isPass = measurements.length > 0 && measurements.every(({ isWithinBar }) => isWithinBar);
  const judged = { name, what, floor, bar, measurements };
  const broken = measurements.find(({ floorMedian }) => isBroken(row, floorMedian));
  if (broken === undefined) return { ...judged, outcome: isPass ? "pass" : "fail" };
  const known = row.knownFloor === undefined ? "" : `, ${row.knownFloor} ${broken.unit} are known`;
  const figures = `${broken.floorMedian.toFixed(0)} ${broken.unit}${known}`;
  return { ...judged, outcome: "fail", reason: `the floor is broken (${figures}), so the ratio says nothing` };
}

/** A ratio to a floor that is far from what it can be flatters, and one to a floor of nothing or less says nothing. */
function isBroken({ knownFloor, bar }: Row, floorMedian: number): boolean {
  if (!(floorMedian > 0)) return true;
  if (knownFloor === undefined) return false;
  return bar.kind === "atMost" ? floorMedian > knownFloor * 2 : floorMedian < knownFloor / 2;
}

/** The bar in words, for example `<= 1.3x`. */
export function describeBar({ kind, ratio }: Bar): string {
  return `${kind === "atMost" ? "<=" : ">="} ${ratio}x`;
}

function judge(measurement: Measurement, row: Row): JudgedMeasurement {
  const { bar } = row;
  const floorMedian = median(measurement.floor);
  const subjectMedian = median(measurement.subject);
  const ratio = subjectMedian / floorMedian;
  return {
    ...measurement,
    floorMedian,
    subjectMedian,
    floorSpreadRatio: spreadRatio(measurement.floor),
    subjectSpreadRatio: spreadRatio(measurement.subject),
    ratio,
    isWithinBar: !isBroken(row, floorMedian) && (bar.kind === "atMost" ? ratio <= bar.ratio : ratio >= bar.ratio),
  };
}
