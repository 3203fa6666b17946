/** Figures as people read them. Pure. */
import { describeBar, type JudgedMeasurement, type JudgedRow } from "../verdict.js";

/** A number with three digits that mean something. */
export function formatFigure(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toFixed(digits).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

/** The columns of a table of rows. */
export const COLUMNS: readonly string[] = ["row", "part", "floor", "Cortex", "ratio", "bar", "verdict"];

/** The cells of one row: a line a measurement, or one line that says why there is none. */
export function cellsOf(row: JudgedRow): readonly (readonly string[])[] {
  const bar = describeBar(row.bar);
  if (row.outcome === "not-run") return [[row.name, row.reason ?? "", "", "", "", bar, row.outcome]];
  return row.measurements.map((measurement) => [
    row.name,
    measurement.label,
    medianOf(measurement, "floor"),
    medianOf(measurement, "subject"),
    `${measurement.ratio.toFixed(2)}x`,
    bar,
    measurement.isWithinBar ? "pass" : "fail",
  ]);
}

function medianOf(measurement: JudgedMeasurement, side: "floor" | "subject"): string {
  const isFloor = side === "floor";
  const value = isFloor ? measurement.floorMedian : measurement.subjectMedian;
  const spread = isFloor ? measurement.floorSpreadRatio : measurement.subjectSpreadRatio;
  return `${formatFigure(value)} ${measurement.unit} (±${Math.round((spread * 100) / 2)} %)`;
}
