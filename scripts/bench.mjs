/**
 * `npm run bench`: builds, then runs the measurements with the arguments given.
 */
import "./check-node.mjs";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { buildScripts } from "./build.mjs";
import { runScript } from "./terminal.mjs";
import { ROOT } from "./workspaces.mjs";

await runScript(async () => {
  await buildScripts();
  const { status } = spawnSync(process.execPath, [join(ROOT, "bench/dist/main.js"), ...process.argv.slice(2)], {
    cwd: ROOT,
    stdio: "inherit",
  });
  process.exitCode = status ?? 1;
});
