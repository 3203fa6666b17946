/**
 * The workspaces of this repository and the entries of their `exports`, read from the package.json files.
 *
 * One reading for the build, the tests and the checks, so that an entry is declared in one place only.
 * Plain Node built-ins: it also runs before anything is installed.
 */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Absolute path of the repository's root, without a trailing slash. */
export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * @typedef {object} Manifest
 * @property {string} name
 * @property {string} version
 * @property {boolean} [private]
 * @property {string[]} [workspaces]
 * @property {Record<string, string>} [dependencies]
 * @property {Record<string, string>} [devDependencies]
 * @property {Record<string, string>} [optionalDependencies]
 * @property {Record<string, string | { types: string, default: string }>} [exports]
 *
 * @typedef {object} Workspace
 * @property {string} path Relative to the root, with forward slashes.
 * @property {string} directory Absolute.
 * @property {Manifest} manifest
 *
 * @typedef {object} Entry
 * @property {string} specifier What users import, for example `@cortex-mesh/protocol/log`.
 * @property {string} source Relative to the workspace, for example `src/log/index.ts`.
 * @property {string} output Relative to `dist`, without extension, for example `log/index`.
 */

/**
 * Reads a JSON file.
 *
 * @param {string} path
 * @returns {any}
 */
export function readJson(path) {
  return JSON.parse(readFileSync(path, "utf8"));
}

/**
 * Lists the workspaces in the order of the root package.json, which is the order of dependence.
 *
 * @returns {Workspace[]}
 */
export function listWorkspaces() {
  /** @type {Manifest} */
  const root = readJson(join(ROOT, "package.json"));
  return (root.workspaces ?? []).map((path) => {
    const directory = join(ROOT, path);
    return { path, directory, manifest: readJson(join(directory, "package.json")) };
  });
}

/**
 * Lists what a library exports; a program (no `exports`) has none.
 *
 * @param {Manifest} manifest
 * @returns {Entry[]}
 */
export function listEntries(manifest) {
  /** @type {Entry[]} */
  const entries = [];
  for (const [subpath, target] of Object.entries(manifest.exports ?? {})) {
    if (typeof target === "string") continue;
    const output = target.default.replace(/^\.\/dist\//, "").replace(/\.js$/, "");
    entries.push({ specifier: join(manifest.name, subpath), source: `src/${output}.ts`, output });
  }
  return entries;
}
