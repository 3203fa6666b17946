/**
 * The long run: `npm run test:long`. The simulator, kills of hubs and nodes, a soak; what came of it goes to
 * `docs/proof/long-run.json` when it was a whole one, and the last line is `N passed, N failed`.
 */
import { randomInt } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { readCommit, readLoad, readMachineFacts } from "../../bench/src/machine.js";
import { type Checks, openChecks, say } from "./checks.js";
import { runHubKills, runNodeKills } from "./kill-rounds.js";
import { isWhole, type LongRunOptions, readLongRunOptions } from "./options.js";
import { runSimulations } from "./simulations.js";
import { runSoak, type SoakFigures } from "./soak.js";

const ROOT = join(import.meta.dirname, "../..");
const MAX_SEED = 2 ** 31;
const EXIT_USAGE = 64;

/** Seeds of the parts lie apart, so that no round of one repeats a round of another. */
const SEED_STEP = 10_000;

try {
  const options = readLongRunOptions(process.argv.slice(2), randomInt(MAX_SEED));
  process.exitCode = await runAll(options);
} catch (error) {
  if (!(error instanceof TypeError || error instanceof RangeError)) throw error;
  say(error.message);
  process.exitCode = EXIT_USAGE;
}

async function runAll(options: LongRunOptions): Promise<number> {
  const before = {
    commit: readCommit(),
    machine: readMachineFacts(),
    load: readLoad(),
    date: new Date().toISOString(),
  };
  const checks = openChecks();
  say(`seed ${options.seed} (repeat with --seed ${options.seed})`);
  const figures = await runParts(checks, options);
  const passed = checks.results.filter(({ isPassed }) => isPassed).length;
  const failed = checks.results.length - passed;
  if (isWhole(options)) {
    const { load, ...facts } = before;
    const counts = { checks: checks.results.length, passed, failed };
    const loads = { before: load, after: readLoad() };
    await writeProof({
      name: "long-run",
      ...facts,
      command: "npm run test:long",
      seeds: [options.seed],
      counts,
      load: loads,
      checks: checks.results,
      figures,
    });
  } else {
    say("a shortened run: docs/proof/long-run.json is left as it is");
  }
  process.stdout.write(`${passed} passed, ${failed} failed\n`);
  return failed === 0 && passed > 0 ? 0 : 1;
}

async function runParts(checks: Checks, { seed, ...sizes }: LongRunOptions) {
  const { simulations, hubKills, nodeKills, minutes } = sizes;
  const tell = (what: string): void => say(`\n${what}`);
  tell(`simulator: ${simulations} histories`);
  const simulated = simulations === 0 ? undefined : await runSimulations(checks, ROOT, simulations);
  tell(`hub: ${hubKills} kills`);
  const hubs = hubKills === 0 ? undefined : await runHubKills(checks, hubKills, seed + SEED_STEP);
  tell(`node: ${nodeKills} kills`);
  const nodes = nodeKills === 0 ? undefined : await runNodeKills(checks, nodeKills, seed + 2 * SEED_STEP);
  tell(`soak: ${minutes} minutes`);
  const soak =
    minutes === 0 ? undefined : await checks.run("soak", () => runSoak(checks, minutes, seed + 3 * SEED_STEP));
  return {
    simulator: simulated,
    hubKills: hubs,
    nodeKills: nodes,
    soak: soak === undefined ? undefined : summarize(soak),
  };
}

/** The figures of a soak without the moments between the first and the last of each minute. */
function summarize({ minutes, counts, watched }: SoakFigures) {
  const everyMinute = <T extends { readonly atS: number }>(series: readonly T[]): readonly T[] =>
    series.filter(({ atS }, index) => {
      const last = series[index - 1];
      return last === undefined || index === series.length - 1 || Math.floor(atS / 60) !== Math.floor(last.atS / 60);
    });
  const processes = Object.entries(watched).map(([name, figures]) => [
    name,
    Object.fromEntries(Object.entries(figures).map(([what, series]) => [what, everyMinute(series)])),
  ]);
  return { minutes, counts, watched: Object.fromEntries(processes) as object };
}

async function writeProof(proof: { readonly name: string } & Readonly<Record<string, unknown>>): Promise<void> {
  const directory = join(ROOT, "docs/proof");
  await mkdir(directory, { recursive: true });
  const path = join(directory, `${proof.name}.json`);
  await writeFile(path, `${JSON.stringify(proof, null, 2)}\n`);
  say(`wrote docs/proof/${proof.name}.json`);
}
