/** The command line. Pure. */
import { parseArgs } from "node:util";

/** What is asked for. */
export interface BenchArguments {
  /** Names of rows; all of them when there are none. */
  readonly rows: readonly string[];
  readonly isQuick: boolean;
}

/**
 * Reads `[--row NAME]… [--quick]`.
 *
 * @throws TypeError for what is unknown, and RangeError for a row that is not in `known`.
 */
export function readArguments(args: readonly string[], known: readonly string[]): BenchArguments {
  const { values } = parseArgs({
    args: [...args],
    options: { row: { type: "string", multiple: true, default: [] }, quick: { type: "boolean", default: false } },
  });
  const stranger = values.row.find((name) => !known.includes(name));
  if (stranger !== undefined) throw new RangeError(`there is no row "${stranger}"; there are ${known.join(", ")}`);
  return { rows: values.row, isQuick: values.quick };
}

/** Whether the run is one whose figures may be published: every row, at full size. */
export function isPublishable({ rows, isQuick }: BenchArguments): boolean {
  return rows.length === 0 && !isQuick;
}
