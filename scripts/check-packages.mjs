/**
 * Checks each public package as its users get it: publint, arethetypeswrong, and what is in the tarball.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { run, runScript, StepError, say } from "./terminal.mjs";
import { listEntries, listWorkspaces, ROOT } from "./workspaces.mjs";

/** @typedef {import("./workspaces.mjs").Workspace} Workspace */

/** Must be in every tarball, beside the entries. */
const REQUIRED = ["package.json", "LICENSE", "README.md"];

/** @param {string} name */
function tool(name) {
  return join(ROOT, "node_modules/.bin", name);
}

/** @param {Workspace} workspace */
async function checkTarball({ directory, manifest }) {
  const [packed] = JSON.parse(
    await run("npm", ["pack", "--dry-run", "--json", "--ignore-scripts", "--loglevel=error"], { cwd: directory }),
  );
  /** @type {Set<string>} */
  const files = new Set(packed.files.map((/** @type {{ path: string }} */ file) => file.path));
  const wanted = listEntries(manifest).flatMap(({ output, source }) => [
    `dist/${output}.js`,
    `dist/${output}.d.ts`,
    source,
  ]);
  const missing = [...REQUIRED, ...wanted].filter((file) => !files.has(file));
  const unwanted = [...files].filter((file) => /tsbuildinfo$|\.test\.|(^|\/)\.(?!d\.ts)/.test(file));
  const faults = [...missing.map((file) => `missing: ${file}`), ...unwanted.map((file) => `unwanted: ${file}`)];
  if (faults.length > 0) throw new StepError(`the tarball of ${manifest.name} is wrong`, faults.join("\n"));
  return files.size;
}

await runScript(async () => {
  for (const workspace of listWorkspaces().filter(({ manifest }) => manifest.private !== true)) {
    if (!existsSync(join(workspace.directory, "dist"))) throw new StepError("not built: run `npm run build` first");
    const count = await checkTarball(workspace);
    await run(tool("publint"), ["--strict", workspace.directory], { cwd: ROOT });
    await run(tool("attw"), ["--pack", workspace.directory, "--profile", "esm-only", "--no-emoji"], { cwd: ROOT });
    say(`${workspace.manifest.name}: ${count} files, publint and attw have no complaint`);
  }
});
