/** Figures out of samples. Pure. */

/**
 * The value below which the `ratio` part of the samples lies; between two samples it is interpolated.
 *
 * @throws RangeError without samples, or when `ratio` is not within 0 and 1.
 */
export function quantile(samples: readonly number[], ratio: number): number {
  if (samples.length === 0) throw new RangeError("a quantile needs at least one sample");
  if (!(ratio >= 0 && ratio <= 1)) throw new RangeError(`a quantile lies within 0 and 1, got ${ratio}`);
  const sorted = [...samples].sort((left, right) => left - right);
  const position = (sorted.length - 1) * ratio;
  const below = sorted[Math.floor(position)] ?? Number.NaN;
  const above = sorted[Math.ceil(position)] ?? Number.NaN;
  return below + (above - below) * (position - Math.floor(position));
}

/** The middle of the samples. @throws RangeError without samples */
export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5);
}

/** Half of the samples lie within this part of the median: how much a figure is to be trusted. */
export function spreadRatio(samples: readonly number[]): number {
  return (quantile(samples, 0.75) - quantile(samples, 0.25)) / median(samples);
}
