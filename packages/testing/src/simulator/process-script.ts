/** What a simulated process does, from the seed: the same for one attempt in each run, another one for the next attempt. */
import type { ProcessSpec } from "@cortex-mesh/node-sdk";
import type { SeededRandom } from "../random.js";

/** What a process does. */
export interface ProcessScript {
  readonly spawnMs: number;
  /** There is no such program. */
  readonly isMissing: boolean;
  readonly durationMs: number;
  readonly lines: readonly { readonly atMs: number; readonly stream: "stdout" | "stderr"; readonly text: string }[];
  readonly exitCode: number;
  /** It ignores TERM. */
  readonly isStubborn: boolean;
  readonly obeysAfterMs: number;
}

const MAX_LINES = 20;
const MAX_LINE_CHARS = 300;

/** Writes the script of an attempt. */
export function writeScript(random: SeededRandom, { taskId, attempt }: ProcessSpec): ProcessScript {
  const durationMs = random.chance(0.2) ? random.between(0, 200) : random.between(1_000, 32_000);
  const lineCount = random.chance(0.25) ? 0 : random.integer(MAX_LINES);
  const times = Array.from({ length: lineCount }, () => random.between(0, durationMs)).sort((a, b) => a - b);
  const lines = times.map((atMs, index) => ({
    atMs,
    stream: random.chance(0.8) ? ("stdout" as const) : ("stderr" as const),
    text: `${taskId.slice(-6)} attempt ${attempt} line ${index} ${"x".repeat(random.integer(MAX_LINE_CHARS))}\n`,
  }));
  return {
    spawnMs: random.between(0, 10),
    isMissing: random.chance(0.02),
    durationMs,
    lines,
    // Attempts of one task end differently, so that a result of the wrong one shows.
    exitCode: random.chance(0.7) ? 0 : 10 + attempt,
    isStubborn: random.chance(0.15),
    obeysAfterMs: random.between(0, 300),
  };
}
