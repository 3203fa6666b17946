/**
 * `npm run test:long`: sets everything up, then runs the simulator, the kill loops and the soak with the arguments given.
 *
 * The program shares its parts with the tests of `test/`, so it is bundled like a program of this repository, into a
 * directory as deep below the root as they are.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { build } from "tsup";
import { setUp } from "./set-up.mjs";
import { runScript } from "./terminal.mjs";
import { ROOT } from "./workspaces.mjs";

const OUTPUT = join(ROOT, ".cache/test-long");

await runScript(async () => {
  await setUp({ forTests: true });
  await build({
    config: false,
    entry: { main: join(ROOT, "test/long/main.ts") },
    outDir: OUTPUT,
    format: ["esm"],
    target: "node20",
    platform: "node",
    splitting: false,
    sourcemap: true,
    silent: true,
  });
  const args = ["--enable-source-maps", join(OUTPUT, "main.js"), ...process.argv.slice(2)];
  const { status } = spawnSync(process.execPath, args, { cwd: ROOT, stdio: "inherit" });
  process.exitCode = status ?? 1;
});
