/** Whether a figure stays flat. Pure. */

/** A figure at a moment. */
export interface TimedFigure {
  readonly atS: number;
  readonly value: number;
}

/** What a line through figures says. */
export interface Trend {
  /** What the figure gains from the first to the last moment, along the line. */
  readonly growth: number;
  readonly median: number;
}

/** Fits a line by least squares. @throws RangeError with fewer than two moments */
export function fitTrend(figures: readonly TimedFigure[]): Trend {
  const [first, last] = [figures.at(0), figures.at(-1)];
  if (first === undefined || last === undefined || first.atS === last.atS)
    throw new RangeError("a trend needs two moments");
  const meanS = mean(figures.map(({ atS }) => atS));
  const meanValue = mean(figures.map(({ value }) => value));
  let rise = 0;
  let run = 0;
  for (const { atS, value } of figures) {
    rise += (atS - meanS) * (value - meanValue);
    run += (atS - meanS) ** 2;
  }
  const sorted = figures.map(({ value }) => value).sort((left, right) => left - right);
  return { growth: (rise / run) * (last.atS - first.atS), median: sorted[Math.floor(sorted.length / 2)] ?? 0 };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
