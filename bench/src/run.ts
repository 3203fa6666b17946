/** Runs the rows that are asked for, prints the table, and for a whole run writes proof and page. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type BenchArguments, isPublishable } from "./arguments.js";
import { readCommit, readLoad, readMachineFacts } from "./machine.js";
import { COLUMNS, cellsOf } from "./report/figures.js";
import { writePage } from "./report/page.js";
import { makeProof, type Proof } from "./report/proof.js";
import { textTable } from "./report/text-table.js";
import type { Row, RowResult, RunOptions } from "./row.js";
import { type JudgedRow, judgeRow } from "./verdict.js";

const COMMAND = "npm run bench";

/** Runs `rows` in the repository at `root`; gives the exit status: 1 when a row is not within its bar. */
export async function runRows(rows: readonly Row[], asked: BenchArguments, root: string): Promise<number> {
  const chosen = rows.filter(({ name }) => asked.rows.length === 0 || asked.rows.includes(name));
  const facts = { machine: readMachineFacts(), commit: readCommit(), before: readLoad() };
  if (facts.before > facts.machine.cores) {
    console.error(`the load is ${facts.before} on ${facts.machine.cores} cores: the figures will be disturbed`);
  }
  const scratch = join(root, ".cache");
  await mkdir(scratch, { recursive: true });
  const diskDirectory = await mkdtemp(join(scratch, "bench-"));
  const judged: JudgedRow[] = [];
  try {
    for (const row of chosen) judged.push(await runRow(row, { isQuick: asked.isQuick, diskDirectory }));
  } finally {
    await rm(diskDirectory, { recursive: true, force: true });
  }
  console.log(`\n${textTable([COLUMNS, ...judged.flatMap(cellsOf)])}`);
  if (isPublishable(asked)) {
    await publish(
      root,
      makeProof({
        commit: facts.commit,
        command: COMMAND,
        date: new Date().toISOString(),
        seeds: [],
        machine: facts.machine,
        load: { before: facts.before, after: readLoad() },
        figures: judged,
      }),
    );
  }
  return judged.some(({ outcome }) => outcome === "fail") ? 1 : 0;
}

async function runRow(row: Row, options: RunOptions): Promise<JudgedRow> {
  const startedAtMs = performance.now();
  const judged = judgeRow(row, await measureRow(row, options));
  const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(1);
  console.error(`${row.name}: ${judged.outcome} (${seconds} s, load ${readLoad()})`);
  return judged;
}

async function measureRow(row: Row, options: RunOptions): Promise<RowResult> {
  const reason = row.obstacle?.(options);
  if (reason !== undefined) return { name: row.name, state: "notRun", reason };
  return { name: row.name, state: "measured", measurements: await row.measure(options) };
}

async function publish(root: string, proof: Proof): Promise<void> {
  const directory = join(root, "docs/proof");
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, `${proof.name}.json`), `${JSON.stringify(proof, null, 2)}\n`);
  await writeFile(join(root, "docs/benchmarks.md"), writePage(proof));
  console.log(`wrote docs/benchmarks.md and docs/proof/${proof.name}.json`);
}
