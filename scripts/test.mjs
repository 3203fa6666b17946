/**
 * `npm test`: sets everything up, runs the tests, and ends with the line `N passed, N failed` (`, N skipped`).
 *
 * Arguments go to vitest: `npm test -- packages/protocol`. A skipped test must give its reason, and where nothing may
 * be skipped (CI, as root on a Debian, which can install everything) a skipped test is a failure.
 */

import { spawn } from "node:child_process";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setUp } from "./set-up.mjs";
import { runScript, StepError } from "./terminal.mjs";
import { ROOT, readJson } from "./workspaces.mjs";

/** @typedef {import("./summary-reporter.mjs").TestSummary} TestSummary */

const SUMMARY = join(ROOT, ".cache/test-summary.json");
const REPORTER = join(ROOT, "scripts/summary-reporter.mjs");
const VITEST = join(ROOT, "node_modules/vitest/vitest.mjs");

/**
 * @param {readonly string[]} args
 * @returns {Promise<number>} exit status
 */
function runVitest(args) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [VITEST, "run", "--reporter=default", `--reporter=${REPORTER}`, ...args], {
      cwd: ROOT,
      stdio: "inherit",
      env: { ...process.env, CORTEX_TEST_SUMMARY: SUMMARY },
    });
    child.once("error", reject);
    child.once("close", (status) => resolve(status ?? 1));
  });
}

function mustRunAll() {
  return process.env["CI"] === "true" && process.getuid?.() === 0 && existsSync("/etc/debian_version");
}

/**
 * @param {TestSummary} summary
 * @param {number} status
 * @returns {number} how many failures to report
 */
function countFailures(summary, status) {
  const withoutReason = summary.skipped.filter(({ reason }) => reason === undefined);
  const skips = mustRunAll() ? summary.skipped : withoutReason;
  for (const { title } of skips) process.stdout.write(`failed because it was skipped: ${title}\n`);
  const failed = summary.failed + skips.length;
  if (failed === 0 && status !== 0) {
    process.stdout.write(`failed because vitest ended with status ${status}\n`);
    return 1;
  }
  return failed;
}

/** @param {string[]} args */
async function runTests(args) {
  mkdirSync(join(ROOT, ".cache"), { recursive: true });
  rmSync(SUMMARY, { force: true });
  const status = await runVitest(args);
  /** @type {TestSummary} */
  const summary = existsSync(SUMMARY) ? readJson(SUMMARY) : { passed: 0, failed: 1, skipped: [] };
  for (const { title, reason } of summary.skipped) {
    process.stdout.write(`skipped: ${title}: ${reason ?? "no reason given"}\n`);
  }
  const failed = countFailures(summary, status);
  const skipped = summary.skipped.length === 0 ? "" : `, ${summary.skipped.length} skipped`;
  process.stdout.write(`${summary.passed} passed, ${failed} failed${skipped}\n`);
  if (failed > 0) process.exitCode = 1;
}

await runScript(async () => {
  try {
    await setUp({ forTests: true });
  } catch (error) {
    if (error instanceof StepError) process.stdout.write("0 passed, 1 failed\n");
    throw error;
  }
  await runTests(process.argv.slice(2));
});
