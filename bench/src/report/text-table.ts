/** A table for a terminal. Pure. */

/** Lays lines out in columns, the first line being the header. */
export function textTable(lines: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const line of lines) {
    for (const [column, cell] of line.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length);
  }
  const layOut = (line: readonly string[]): string =>
    line
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd();
  const [header = [], ...body] = lines;
  const rule = widths.map((width) => "-".repeat(width)).join("  ");
  return [layOut(header), rule, ...body.map(layOut)].join("\n");
}
