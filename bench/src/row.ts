/** What a row of the benchmark is: a named floor, our figure beside it, and the bar between them. */

/** The bar: our median divided by the floor's median must be at most, or at least, this. */
export interface Bar {
  readonly kind: "atMost" | "atLeast";
  readonly ratio: number;
}

/** Samples of the floor and of our side, taken in turn in the same run and in the same unit. */
export interface Measurement {
  /** Which part of the row it is, for example a direction. */
  readonly label: string;
  /** What a sample counts, for example `us`, `frames/s`. */
  readonly unit: string;
  readonly floor: readonly number[];
  readonly subject: readonly number[];
  /** Other figures and facts that belong to it: sizes, counts, memory. */
  readonly facts: Readonly<Record<string, number | string>>;
}

/** How much a run measures. */
export interface RunOptions {
  /** Fewer samples and smaller sizes: says whether the benchmark works, not how fast Cortex is. */
  readonly isQuick: boolean;
  /** A directory on the disk of the repository, removed after the run. */
  readonly diskDirectory: string;
}

/** One row. */
export interface Row {
  /** The name on the command line. */
  readonly name: string;
  /** What is measured. */
  readonly what: string;
  /** What it is measured against. */
  readonly floor: string;
  readonly bar: Bar;
  /** The floor's figure as it was measured before, in the unit of the measurements: one less than half as good is broken. */
  readonly knownFloor?: number;
  /** Why the row cannot run here; nothing when it can. */
  readonly obstacle?: (options: RunOptions) => string | undefined;
  measure(options: RunOptions): Promise<readonly Measurement[]>;
}

/** What came of a row. */
export type RowResult =
  | { readonly name: string; readonly state: "measured"; readonly measurements: readonly Measurement[] }
  | { readonly name: string; readonly state: "notRun"; readonly reason: string };
