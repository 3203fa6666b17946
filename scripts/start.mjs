/**
 * `npm start`: sets everything up, then runs the demonstration with the arguments given.
 */

import { spawn } from "node:child_process";
import { join } from "node:path";
import { setUp } from "./set-up.mjs";
import { runScript } from "./terminal.mjs";
import { ROOT } from "./workspaces.mjs";

/**
 * Becomes the program, as far as that is possible: its streams, its exit status, its signals.
 *
 * @param {string} script
 * @param {readonly string[]} args
 * @returns {Promise<void>}
 */
function become(script, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script, ...args], { stdio: "inherit" });
    /** @type {NodeJS.Signals[]} */
    const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
    for (const signal of signals) {
      process.on(signal, () => {
        // A terminal sends Ctrl-C to the whole group; passing it on would make two of it.
        if (signal !== "SIGINT" || process.stdin.isTTY !== true) child.kill(signal);
      });
    }
    child.once("error", reject);
    child.once("close", (status, signal) => {
      for (const name of signals) process.removeAllListeners(name);
      if (signal !== null) process.kill(process.pid, signal);
      process.exitCode = status ?? 1;
      resolve();
    });
  });
}

await runScript(async () => {
  await setUp({ forTests: false });
  await become(join(ROOT, "scripts/demo.mjs"), process.argv.slice(2));
});
