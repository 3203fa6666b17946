/** Prometheus counts time in seconds; Cortex measures milliseconds. */

/** Gives a duration in seconds; one that clocks made negative is none. */
export function toSeconds(durationMs: number): number {
  return Math.max(0, durationMs) / 1000;
}
