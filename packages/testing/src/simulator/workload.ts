/** What users ask for in a history, from the seed. */
import type { SeededRandom } from "../random.js";

/** One task to be. */
export interface Submission {
  /** Names it in the input of its process, so that it is known again however often it was accepted. */
  readonly name: string;
  readonly atMs: number;
  readonly effect: "once" | "idempotent";
  readonly key: string | undefined;
  /** Times after the first post at which it is posted again with its key. */
  readonly repeatsAfterMs: readonly number[];
  readonly nodeIndex: number | undefined;
  readonly timeoutMs: number | undefined;
  readonly queueTimeoutMs: number | undefined;
  readonly cancelAfterMs: number | undefined;
}

/** How long users ask, in milliseconds. */
export const ASKING_MS = 75_000;

const MIN_TASKS = 34;
const MAX_MORE_TASKS = 12;

/** Writes the workload of a history. */
export function writeWorkload(random: SeededRandom, nodeCount: number): readonly Submission[] {
  const count = MIN_TASKS + random.integer(MAX_MORE_TASKS);
  return Array.from({ length: count }, (_, index) => writeSubmission(random, index, nodeCount));
}

function writeSubmission(random: SeededRandom, index: number, nodeCount: number): Submission {
  const effect = random.chance(0.42) ? "once" : "idempotent";
  const hasKey = random.chance(0.75);
  const repeats = hasKey && random.chance(0.4) ? 1 + random.integer(2) : 0;
  return {
    name: `work-${index}`,
    atMs: random.between(0, ASKING_MS),
    effect,
    key: hasKey ? `key-${index}` : undefined,
    // Some at the same moment, some much later.
    repeatsAfterMs: Array.from({ length: repeats }, () => (random.chance(0.3) ? 0 : random.between(1, 40_000))),
    nodeIndex: random.chance(effect === "idempotent" ? 0.8 : 0.4) ? random.integer(nodeCount - 1) : undefined,
    timeoutMs: random.chance(0.15) ? Math.round(random.between(500, 30_000)) : undefined,
    queueTimeoutMs: random.chance(0.1) ? Math.round(random.between(500, 20_000)) : undefined,
    cancelAfterMs: random.chance(0.2) ? random.between(0, 15_000) : undefined,
  };
}
