/**
 * Builds the workspaces whose sources changed since their last build.
 *
 *   node scripts/build.mjs           JavaScript only (what the programs need)
 *   node scripts/build.mjs --types   also the declarations, and with them a type check of everything
 *
 * A workspace is current when a hash over its sources and build options equals the recorded one and its outputs are
 * there. JavaScript of one workspace does not depend on that of another, so they are built side by side.
 */
import "./check-node.mjs";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import { run, runScript, say } from "./terminal.mjs";
import { listEntries, listWorkspaces, ROOT } from "./workspaces.mjs";

/** @typedef {import("./workspaces.mjs").Workspace} Workspace */

const STAMPS = join(ROOT, ".cache/build");
const TSUP = join(ROOT, "node_modules/tsup/dist/cli-default.js");
const TSC = join(ROOT, "node_modules/typescript/bin/tsc");

/** What every build depends on, beside the workspace's own files. */
const SHARED_INPUTS = ["package-lock.json", "scripts/tsup-config.mjs", "scripts/workspaces.mjs"];

/**
 * @param {string} directory
 * @returns {string[]} absolute paths, sorted
 */
function listFiles(directory) {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** @param {Workspace} workspace */
function hashInputs({ directory }) {
  const own = ["package.json", "tsup.config.ts"].map((name) => join(directory, name));
  const shared = SHARED_INPUTS.map((name) => join(ROOT, name));
  const hash = createHash("sha256").update(process.version);
  for (const file of [...shared, ...own, ...listFiles(join(directory, "src"))]) {
    hash.update(`\0${relative(ROOT, file)}\0`).update(readFileSync(file));
  }
  return hash.digest("hex");
}

/** @param {Workspace} workspace */
function listOutputs({ directory, manifest }) {
  const entries = listEntries(manifest).map(({ output }) => output);
  return (entries.length > 0 ? entries : ["main"]).map((output) => join(directory, "dist", `${output}.js`));
}

/** @param {Workspace} workspace */
function stampFile({ path }) {
  return join(STAMPS, `${path.replaceAll("/", "-")}.txt`);
}

/** @param {Workspace} workspace */
function isCurrent(workspace) {
  const file = stampFile(workspace);
  if (!existsSync(file) || !listOutputs(workspace).every((output) => existsSync(output))) return false;
  return readFileSync(file, "utf8") === hashInputs(workspace);
}

/** @param {Workspace} workspace */
async function buildWorkspace(workspace) {
  const stamp = hashInputs(workspace);
  rmSync(stampFile(workspace), { force: true });
  const startedAtMs = Date.now();
  await run(process.execPath, [TSUP], { cwd: workspace.directory });
  removeStaleScripts(join(workspace.directory, "dist"), startedAtMs);
  writeFileSync(stampFile(workspace), stamp);
}

/**
 * Removes scripts of earlier builds; removing them afterwards leaves running programs their files for longest.
 *
 * @param {string} dist
 * @param {number} startedAtMs
 */
function removeStaleScripts(dist, startedAtMs) {
  // File systems that keep whole seconds would make a fresh file look older than the start.
  const limitMs = Math.floor(startedAtMs / 1000) * 1000;
  for (const file of listFiles(dist)) {
    if (/\.js(\.map)?$/.test(file) && statSync(file).mtimeMs < limitMs) rmSync(file);
  }
}

/**
 * Removes declarations whose source is gone; `tsc -b` leaves them.
 *
 * @param {Workspace} workspace
 */
function removeStaleTypes({ directory }) {
  const dist = join(directory, "dist");
  for (const file of listFiles(dist)) {
    const name = relative(dist, file).replace(/\.d\.ts(\.map)?$/, "");
    if (name !== relative(dist, file) && !existsSync(join(directory, "src", `${name}.ts`))) rmSync(file);
  }
}

/**
 * Builds the JavaScript of every workspace that is not current.
 *
 * @returns {Promise<string[]>} the paths of those that were built
 */
export async function buildScripts() {
  mkdirSync(STAMPS, { recursive: true });
  const stale = listWorkspaces().filter((workspace) => !isCurrent(workspace));
  const waiting = [...stale];
  const workers = Array.from({ length: Math.min(availableParallelism(), 4) }, async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await buildWorkspace(next);
  });
  await Promise.all(workers);
  return stale.map(({ path }) => path);
}

/** Writes the declarations of every workspace and type checks the tests and scripts. */
export async function buildTypes() {
  await run(process.execPath, [TSC, "-b", "--pretty", "false"], { cwd: ROOT });
  for (const workspace of listWorkspaces()) removeStaleTypes(workspace);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  await runScript(async () => {
    const built = await buildScripts();
    say(built.length === 0 ? "JavaScript is current" : `built ${built.join(", ")}`);
    if (process.argv.includes("--types")) {
      await buildTypes();
      say("types are current");
    }
  });
}
