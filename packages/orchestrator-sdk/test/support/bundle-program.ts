/** Bundles a TypeScript program from the sources, so that a child process can run it without a build. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "tsup";

/** Inside the package, so that the bundle finds the dependencies that stay outside of it. */
const CACHE = fileURLToPath(new URL("../../node_modules/.cache/", import.meta.url));
const PROTOCOL = fileURLToPath(new URL("../../../protocol/src/index.ts", import.meta.url));

export interface Program {
  /** The JavaScript file. */
  readonly path: string;
  remove(): void;
}

/** Bundles the program at `source`, a path beside this file. */
export async function bundleProgram(source: string): Promise<Program> {
  mkdirSync(CACHE, { recursive: true });
  const outDir = mkdtempSync(join(CACHE, "program-"));
  await build({
    entry: [fileURLToPath(new URL(source, import.meta.url))],
    outDir,
    config: false,
    format: ["esm"],
    target: "node20",
    silent: true,
    outExtension: () => ({ js: ".mjs" }),
    external: ["libsql", "kysely", "ulid"],
    noExternal: [/^@cortex-mesh\//],
    esbuildOptions: (options) => {
      options.alias = { "@cortex-mesh/protocol": PROTOCOL };
    },
  });
  return {
    path: join(outDir, basename(source).replace(/\.ts$/, ".mjs")),
    remove: () => rmSync(outDir, { recursive: true, force: true }),
  };
}
