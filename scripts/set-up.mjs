/**
 * Makes a fresh clone ready: dependencies, build, system programs. What is current is left alone.
 *
 * Plain Node built-ins, because it runs before anything is installed.
 */
import "./check-node.mjs";
import { pathToFileURL } from "node:url";
import { buildScripts } from "./build.mjs";
import { installDependencies } from "./install.mjs";
import { installSystemPackages } from "./system-packages.mjs";
import { runScript, say, step } from "./terminal.mjs";

/**
 * @typedef {object} SetUpOptions
 * @property {boolean} forTests Whether to add what only the tests need.
 *
 * @param {SetUpOptions} options
 * @throws {import("./terminal.mjs").StepError} when a step that can't be done without fails
 */
export async function setUp({ forTests }) {
  say("Cortex: setting up");
  await step("dependencies", installDependencies);
  await step("build", async () => {
    const built = await buildScripts();
    return built.length === 0 ? "current" : `built ${built.join(", ")}`;
  });
  if (forTests) await step("system programs", installSystemPackages);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  await runScript(() => setUp({ forTests: process.argv.includes("--for-tests") }));
}
