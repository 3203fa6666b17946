/**
 * Installs the dependencies of the lockfile, when `node_modules` does not hold them already.
 *
 * `npm ci` is tried first. A registry that lacks a package of another platform makes it refuse; `npm install` copes,
 * and is told to leave the lockfile as it is.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runQuietly, StepError } from "./terminal.mjs";
import { listWorkspaces, ROOT, readJson } from "./workspaces.mjs";

const LOCKFILE = join(ROOT, "package-lock.json");
const INSTALLED = join(ROOT, "node_modules/.package-lock.json");
const STAMP = join(ROOT, "node_modules/.cortex-installed");

/**
 * @typedef {object} LockedPackage
 * @property {string} [version]
 * @property {boolean} [optional]
 * @property {boolean} [link]
 * @property {string[]} [os]
 * @property {string[]} [cpu]
 * @property {string[]} [libc]
 */

function computeStamp() {
  const manifests = [ROOT, ...listWorkspaces().map(({ directory }) => directory)].map((at) => join(at, "package.json"));
  const hash = createHash("sha256").update(`${process.platform} ${process.arch}`);
  for (const file of [LOCKFILE, ...manifests]) hash.update(readFileSync(file));
  return hash.digest("hex");
}

/** Whether npm's own record of `node_modules` holds all of the lockfile that this platform needs. */
function holdsLockfile() {
  if (!existsSync(INSTALLED)) return false;
  /** @type {Record<string, LockedPackage>} */
  const installed = readJson(INSTALLED).packages;
  /** @type {[string, LockedPackage][]} */
  const locked = Object.entries(readJson(LOCKFILE).packages);
  return locked.every(([path, wanted]) => {
    if (!path.includes("node_modules/")) return true;
    const found = installed[path];
    if (found === undefined) return wanted.optional === true && !isForThisPlatform(wanted);
    return found.version === wanted.version;
  });
}

/** @param {LockedPackage} wanted */
function isForThisPlatform({ os, cpu, libc }) {
  const fits = (/** @type {string[] | undefined} */ list, /** @type {string} */ own) => list?.includes(own) ?? true;
  return (
    fits(os, process.platform) && fits(cpu, process.arch) && (process.platform !== "linux" || fits(libc, ownLibc()))
  );
}

function ownLibc() {
  const header = /** @type {{ header?: { glibcVersionRuntime?: string } }} */ (process.report.getReport()).header;
  return header?.glibcVersionRuntime === undefined ? "musl" : "glibc";
}

/**
 * Runs the npm that runs this script, or else the one on the PATH.
 *
 * @param {readonly string[]} args
 */
function npm(...args) {
  const own = process.env["npm_execpath"];
  const options = { cwd: ROOT };
  return own?.endsWith(".js") === true
    ? runQuietly(process.execPath, [own, ...args], options)
    : runQuietly("npm", args, options);
}

/**
 * @returns {Promise<string>} what was done, in a few words
 * @throws {StepError} when neither way of installing works
 */
export async function installDependencies() {
  const stamp = computeStamp();
  if (existsSync(STAMP) && readFileSync(STAMP, "utf8") === stamp && existsSync(INSTALLED)) return "current";
  if (holdsLockfile()) {
    writeFileSync(STAMP, stamp);
    return "current";
  }
  const clean = await npm("ci", "--no-progress");
  let outcome = "installed";
  if (clean.status !== 0) {
    const second = await npm("install", "--no-save", "--no-progress");
    if (second.status !== 0)
      throw new StepError("the dependencies could not be installed", clean.output + second.output);
    outcome = "installed (`npm ci` was refused, `npm install` was not)";
  }
  writeFileSync(STAMP, stamp);
  return outcome;
}
