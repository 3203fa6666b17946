/** What goes to standard output: for people on a terminal, one JSON object a line for programs. */

/** Prints `value` as a line of JSON. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/** Prints text on a terminal, and `value` as a line of JSON elsewhere. */
export function print(value: unknown, text: string): void {
  if (process.stdout.isTTY) process.stdout.write(`${text}\n`);
  else printJson(value);
}

/** Rows with their columns lined up. */
export function toTable(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
