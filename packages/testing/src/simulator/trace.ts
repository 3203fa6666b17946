/** What happened in a history, line by line, and a hash over it: two runs of one seed have the same. */
import { createHash } from "node:crypto";

/** A trace. */
export interface Trace {
  add(line: string): void;
  /** The lines, if they are kept. */
  readonly lines: readonly string[];
  /** Hex, over every line so far. */
  hash(): string;
}

/** Makes an empty trace; `nowMs` is the virtual time. */
export function createTrace(nowMs: () => number, isKept: boolean): Trace {
  const digest = createHash("sha256");
  const lines: string[] = [];
  return {
    add(line) {
      const text = `${(nowMs() / 1000).toFixed(3).padStart(9)} ${line}`;
      digest.update(text).update("\n");
      if (isKept) lines.push(text);
    },
    lines,
    hash: () => digest.copy().digest("hex"),
  };
}
