/** What goes to standard output: for people on a terminal, one JSON object a line for programs. */
import { toPrintable } from "@cortex-mesh/protocol";

/** Prints `value` as a line of JSON. */
export function printJson(value: unknown): void {
  process.stdout.write(`${toPrintable(JSON.stringify(value))}\n`);
}

/** Prints text on a terminal, line by line without what would steer it, and `value` as a line of JSON elsewhere. */
export function print(value: unknown, text: string): void {
  if (process.stdout.isTTY) process.stdout.write(`${text.split("\n").map(toPrintable).join("\n")}\n`);
  else printJson(value);
}

/** Rows with their columns lined up. */
export function toTable(rows: readonly (readonly string[])[]): string {
  const shown = rows.map((row) => row.map(toPrintable));
  const widths = (shown[0] ?? []).map((_, at) => Math.max(...shown.map((row) => row[at]?.length ?? 0)));
  return shown
    .map((row) =>
      row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
