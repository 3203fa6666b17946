/** What a long run found, line by line. */

/** One thing that was to hold. */
export interface CheckResult {
  readonly name: string;
  readonly isPassed: boolean;
  readonly detail: string;
}

/** Collects and tells. */
export interface Checks {
  readonly results: readonly CheckResult[];
  add(name: string, isPassed: boolean, detail: string): void;
  /** Runs a part; what it throws is one failure, and the run goes on with the next part. */
  run<T>(name: string, part: () => Promise<T>): Promise<T | undefined>;
  /** A fault that was to happen: one that never did proves nothing, and fails. */
  happened(kind: string, count: number): void;
}

/** Writes a line where people look; standard output is for the result. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Opens an empty list. */
export function openChecks(): Checks {
  const results: CheckResult[] = [];
  const checks: Checks = {
    results,
    add(name, isPassed, detail) {
      results.push({ name, isPassed, detail });
      say(`${isPassed ? "ok    " : "FAILED"} ${name}: ${detail}`);
    },
    async run(name, part) {
      try {
        return await part();
      } catch (error) {
        checks.add(name, false, error instanceof Error ? (error.stack ?? error.message) : String(error));
        return undefined;
      }
    },
    happened: (kind, count) => checks.add(`faults: ${kind}`, count > 0, `${count}`),
  };
  return checks;
}
