/**
 * `npm run sim`: builds, then runs the simulator with the arguments given; `--proof` writes `docs/proof/simulator.json`.
 */
import "./check-node.mjs";
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { buildScripts } from "./build.mjs";
import { runScript } from "./terminal.mjs";
import { ROOT } from "./workspaces.mjs";

const PROOF_DIRECTORY = join(ROOT, "docs/proof");
/** Marks the process that simulates; the one before it only builds. */
const WORKER = "--worker";
/** Young objects are many and short-lived: room for them saves a tenth of the time. */
const NODE_FLAGS = ["--max-semi-space-size=64"];

/** @param {readonly string[]} args @param {Record<string, unknown>} figures */
function keepProof(args, figures) {
  const commit = spawnSync("git", ["rev-parse", "HEAD"], { cwd: ROOT, encoding: "utf8" }).stdout.trim();
  const proof = { commit, command: `npm run sim -- ${args.join(" ")}`, date: new Date().toISOString(), ...figures };
  mkdirSync(PROOF_DIRECTORY, { recursive: true });
  writeFileSync(join(PROOF_DIRECTORY, "simulator.json"), `${JSON.stringify(proof, undefined, 2)}\n`);
}

/** @param {readonly string[]} args */
async function simulate(args) {
  const { runSimulator } = await import(pathToFileURL(join(ROOT, "packages/testing/dist/simulator/index.js")).href);
  process.exitCode = await runSimulator(args, {
    print: (/** @type {string} */ line) => console.log(line),
    note: (/** @type {string} */ line) => console.error(line),
    keepProof: (/** @type {Record<string, unknown>} */ figures) => keepProof(args, figures),
  });
}

const [first, ...rest] = process.argv.slice(2);
await runScript(async () => {
  if (first === WORKER) return simulate(rest);
  await buildScripts();
  const args = [...NODE_FLAGS, join(ROOT, "scripts/sim.mjs"), WORKER, ...process.argv.slice(2)];
  const { status } = spawnSync(process.execPath, args, { cwd: ROOT, stdio: "inherit" });
  process.exitCode = status ?? 1;
});
