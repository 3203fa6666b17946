/** What goes to standard output: for people on a terminal, one JSON object a line for programs. */
import { toPrintable } from "@cortex-mesh/protocol";

/** Prints text on a terminal, line by line without what would steer it, and `value` as a line of JSON elsewhere. */
export function print(value: unknown, text: string): void {
  const shown = process.stdout.isTTY
    ? text.split("\n").map(toPrintable).join("\n")
    : toPrintable(JSON.stringify(value));
  process.stdout.write(`${shown}\n`);
}
