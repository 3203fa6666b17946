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
  readonly isWithinBar: boolean;
}

/** A row with its verdict. */
export interface JudgedRow {
  readonly name: string;
  readonly what: string;
  readonly floor: string;
  readonly bar: Bar;
  readonly outcome: Outcome;
  /** Why it was not run. */
  readonly reason?: string;
  readonly measurements: readonly JudgedMeasurement[];
}

/** Judges one row: it passes when each of its measurements is within the bar. */
export function judgeRow(row: Row, result: RowResult): JudgedRow {
  const { name, what, floor, bar } = row;
  if (result.state === "notRun") {
    return { name, what, floor, bar, outcome: "not-run", reason: result.reason, measurements: [] };
  }
  const measurements = result.measurements.map((measurement) => judge(measurement, bar));
  const isPass = measurements.length > 0 && measurements.every(({ isWithinBar }) => isWithinBar);
  return { name, what, floor, bar, outcome: isPass ? "pass" : "fail", measurements };
}

/** The bar in words, for example `<= 1.3x`. */
export function describeBar({ kind, ratio }: Bar): string {
  return `${kind === "atMost" ? "<=" : ">="} ${ratio}x`;
}

function judge(measurement: Measurement, bar: Bar): JudgedMeasurement {
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
    isWithinBar: bar.kind === "atMost" ? ratio <= bar.ratio : ratio >= bar.ratio,
  };
}
