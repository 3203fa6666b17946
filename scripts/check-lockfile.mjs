/**
 * Checks that the lockfile installs everywhere: every platform's packages are in it, it names no host, and `npm ci`
 * agrees with it.
 *
 * npm writes a lockfile without the platform packages that its registry did not have at that moment; such a lockfile
 * works on the machine that wrote it and on no other.
 */
import { join } from "node:path";
import { run, runScript, StepError, say } from "./terminal.mjs";
import { ROOT, readJson } from "./workspaces.mjs";

/**
 * @typedef {object} LockedPackage
 * @property {string} [resolved]
 * @property {string} [integrity]
 * @property {boolean} [link]
 * @property {Record<string, string>} [optionalDependencies]
 */

/**
 * Whether a package at `path` finds `name` the way Node resolves it.
 *
 * @param {Record<string, LockedPackage>} packages
 * @param {string} path
 * @param {string} name
 */
function canResolve(packages, path, name) {
  for (let at = path; ; ) {
    if (`${at === "" ? "" : `${at}/`}node_modules/${name}` in packages) return true;
    if (at === "") return false;
    const parent = at.lastIndexOf("/node_modules/");
    at = parent < 0 ? "" : at.slice(0, parent);
  }
}

/**
 * @param {Record<string, LockedPackage>} packages
 * @returns {string[]} what is wrong, one line each
 */
function findFaults(packages) {
  /** @type {string[]} */
  const faults = [];
  for (const [path, entry] of Object.entries(packages)) {
    for (const name of Object.keys(entry.optionalDependencies ?? {})) {
      if (!canResolve(packages, path, name)) faults.push(`${path}: the optional ${name} is missing`);
    }
    if (entry.link !== true && entry.resolved !== undefined) faults.push(`${path}: names where it came from`);
    const isFetched = path.includes("node_modules/") && entry.link !== true;
    if (isFetched && entry.integrity === undefined) faults.push(`${path}: has no integrity hash`);
  }
  return faults;
}

await runScript(async () => {
  /** @type {Record<string, LockedPackage>} */
  const packages = readJson(join(ROOT, "package-lock.json")).packages;
  const faults = findFaults(packages);
  if (faults.length > 0) throw new StepError("package-lock.json is not fit for every machine", faults.join("\n"));
  await run("npm", ["ci", "--dry-run", "--ignore-scripts"], { cwd: ROOT });
  say(`package-lock.json is complete: ${Object.keys(packages).length} packages`);
});
