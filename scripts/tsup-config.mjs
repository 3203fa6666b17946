/**
 * Build options shared by the workspaces: tsup writes JavaScript, `tsc -b` writes the types.
 *
 * Neither cleans `dist`, because both write there.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { listEntries, readJson } from "./workspaces.mjs";

/** @type {import("tsup").Options} */
const SHARED = {
  format: ["esm"],
  target: "node20",
  platform: "node",
  dts: false,
  clean: false,
  sourcemap: true,
  splitting: true,
  treeshake: false,
  silent: true,
};

/**
 * Options of a published package: one entry for each of its `exports` whose source exists.
 *
 * @returns {import("tsup").Options}
 */
export function libraryConfig() {
  const directory = process.cwd();
  const entries = listEntries(readJson(join(directory, "package.json")));
  const missing = entries.filter(({ source }) => !existsSync(join(directory, source)));
  if (missing.length > 0) {
    throw new Error(`exported but without a source: ${missing.map(({ source }) => source).join(", ")}`);
  }
  return { ...SHARED, entry: Object.fromEntries(entries.map(({ output, source }) => [output, source])) };
}

/**
 * Options of a program: `src/main.ts` becomes `dist/main.js`.
 *
 * @returns {import("tsup").Options}
 */
export function programConfig() {
  return { ...SHARED, entry: { main: "src/main.ts" } };
}
