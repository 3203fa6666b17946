/** What goes to standard output: for people on a terminal, one JSON object a line for programs. */

/** Prints text on a terminal, and `value` as a line of JSON elsewhere. */
export function print(value: unknown, text: string): void {
  process.stdout.write(process.stdout.isTTY ? `${text}\n` : `${JSON.stringify(value)}\n`);
}
