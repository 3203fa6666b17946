/**
 * Inserts of many rows, a statement for up to {@link MAX_ROWS_PER_STATEMENT} of them.
 *
 * One statement a row would be one round trip a row on a database that is reached by a network.
 */
import type { CompiledQuery } from "kysely";
import type { Executor } from "../executor.js";
import { prepareShapes } from "../prepared.js";

/** Rows of one statement: bounds how many statements are prepared, and the parameters of one (SQLite: 32,766). */
const MAX_ROWS_PER_STATEMENT = 32;

/** Prepares inserts of rows with these columns, a statement for each number of rows. */
export function createRowInserts<Row extends object>(
  columns: readonly (keyof Row & string)[],
  build: (rows: Row[]) => { compile(): CompiledQuery },
): (executor: Executor, rows: readonly Row[]) => Promise<void> {
  const bySize = prepareShapes(String, (size: number, p: Record<string, unknown>) =>
    build(
      Array.from({ length: size }, (_, index) => pick(columns, (column) => p[`${column}:${index}`]) as unknown as Row),
    ),
  );
  return async (executor, rows) => {
    for (let start = 0; start < rows.length; start += MAX_ROWS_PER_STATEMENT) {
      const chunk = rows.slice(start, start + MAX_ROWS_PER_STATEMENT);
      const values: Record<string, unknown> = {};
      chunk.forEach((row, index) => {
        for (const column of columns) values[`${column}:${index}`] = row[column];
      });
      await bySize(chunk.length)(executor, values);
    }
  };
}

function pick(columns: readonly string[], valueOf: (column: string) => unknown): Record<string, unknown> {
  return Object.fromEntries(columns.map((column) => [column, valueOf(column)]));
}
