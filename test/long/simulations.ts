/** The simulator, by its own command. */
import { spawn } from "node:child_process";
import { type Checks, say } from "./checks.js";

/** The last part of what it prints, for the record. */
const KEPT_CHARS = 8_000;

/** So many histories must meet every fault. */
const JUDGED_SEEDS = 1_000;

/** What it was asked and said. */
export interface SimulationFigures {
  readonly seeds: number;
  readonly seconds: number;
  /** The end of its output. */
  readonly said: string;
}

/** Runs `npm run sim` in `root`. */
export async function runSimulations(checks: Checks, root: string, seeds: number): Promise<SimulationFigures> {
  const startedAtMs = performance.now();
  const child = spawn("npm", ["run", "--silent", "sim", "--", "--seeds", String(seeds)], {
    cwd: root,
    stdio: ["ignore", "pipe", "inherit"],
  });
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    process.stderr.write(text);
    said = (said + text).slice(-KEPT_CHARS);
  });
  const status = await new Promise<number>((resolve) => {
    child.once("error", () => resolve(127));
    child.once("close", (code) => resolve(code ?? 128));
  });
  const seconds = Math.round((performance.now() - startedAtMs) / 1000);
  checks.add("simulator", status === 0, `${seeds} histories in ${seconds} s, exit status ${status}`);
  if (status !== 0) say(said);
  if (seeds >= JUDGED_SEEDS) {
    const counts = readCounts(said);
    checks.happened("kinds that the simulator names", counts.length);
    for (const { name, count } of counts) checks.happened(`simulated ${name}`, count);
  }
  return { seeds, seconds, said };
}

/** The faults and crash points in what the simulator says: `faults: drop 200, node killed 11`. Pure. */
export function readCounts(said: string): readonly { readonly name: string; readonly count: number }[] {
  const lists = [...said.matchAll(/^(?:faults|crash points): (.*)$/gm)].map(([, list = ""]) => list);
  return lists
    .flatMap((list) => list.split(", "))
    .map((item) => {
      const [, name = item, count = "NaN"] = /^(.*) (\d+)$/.exec(item) ?? [];
      return { name, count: Number(count) };
    });
}
