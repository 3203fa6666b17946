/** The simulator notices: a rule that is taken out shows, by the name of a task; and the same seed is the same history. */
import { describe, expect, it } from "vitest";
import { BREAKS } from "../../src/simulator/breaks.js";
import { createFigures } from "../../src/simulator/figures.js";
import { runHistory } from "../../src/simulator/history.js";
import { runSimulator } from "../../src/simulator/run-simulator.js";

const TIMEOUT_MS = 120_000;
/** Histories in which a rule that is taken out has to show at least once each, mostly. */
const SEEDS = [7, 8, 9, 10, 11] as const;

async function run(args: readonly string[]): Promise<{ readonly status: number; readonly lines: readonly string[] }> {
  const lines: string[] = [];
  const print = (line: string): void => void lines.push(line);
  const status = await runSimulator(args, { print, note: () => undefined, keepProof: () => undefined });
  return { status, lines };
}

describe("the simulator", () => {
  it.each(BREAKS)(
    "P5: with the rule of %s taken out, seed 7 fails, names the task and says how to see it again",
    async (rule) => {
      const { status, lines } = await run(["--seed", "7", "--break", rule]);
      expect(status).toBe(1);
      expect(lines).toContainEqual(expect.stringMatching(/^seed 7: task_[0-9A-Z]{26} /));
      expect(lines).toContainEqual(`  again: npm run sim -- --seed 7 --break ${rule} --trace`);
    },
    TIMEOUT_MS,
  );

  it.each([
    ["no-dedupe", "starts twice in one attempt", /^seed 7: task_\S+ started twice \(attempts 1 and 1\)$/],
    [
      "no-commit-before-ack",
      "is accepted and lost",
      /^seed 7: task_\S+ was accepted \(\S+\) and is not there any more$/,
    ],
    [
      "no-attempt-check",
      "has output of another attempt",
      /^seed 7: task_\S+ has std\w+ of \d+ bytes from attempt \d+ that is not/,
    ],
  ])(
    "P5: with %s a task is seen that %s",
    async (rule, _what, message) => {
      const { lines } = await run(["--seed", "7", "--break", rule]);
      expect(lines).toContainEqual(expect.stringMatching(message));
    },
    TIMEOUT_MS,
  );

  it(
    "P5: the same seed gives the same trace, another one another",
    async () => {
      const [first, again, other] = [
        await runHistory({ seed: 7, isTraced: true }),
        await runHistory({ seed: 7, isTraced: true }),
        await runHistory({ seed: 8 }),
      ];
      expect(again.trace).toEqual(first.trace);
      expect(again.traceHash).toBe(first.traceHash);
      expect(other.traceHash).not.toBe(first.traceHash);
    },
    TIMEOUT_MS,
  );

  it(
    "P5: what is printed for a seed is the same each time",
    async () => {
      expect(await run(["--seed", "7", "--trace"])).toEqual(await run(["--seed", "7", "--trace"]));
    },
    TIMEOUT_MS,
  );

  it(
    "P5: a handful of histories meets replays, deaths of the hub behind its word, and reports of older attempts",
    async () => {
      const total = createFigures();
      for (const seed of SEEDS) total.add((await runHistory({ seed })).figures);
      expect(total.counts.get("grant of a known attempt")).toBeGreaterThan(0);
      expect(total.counts.get("hub died after an acceptance")).toBeGreaterThan(0);
      expect(total.counts.get("report of an older attempt")).toBeGreaterThan(0);
    },
    TIMEOUT_MS,
  );

  it.each([[["--nonsense"]], [["--seeds", "0"]], [["--seed", "1", "--break", "nothing"]], [["--trace"]]])(
    "P5: arguments that are none are refused: %s",
    async (args) => {
      expect((await run(args)).status).toBe(64);
    },
  );
});
