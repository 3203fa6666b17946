/**
 * Vitest reporter that writes counts, and the skipped tests with their reasons, to the file named by
 * `CORTEX_TEST_SUMMARY`; `test.mjs` reads it after vitest has ended.
 */
import { writeFileSync } from "node:fs";

/**
 * @typedef {object} SkippedTest
 * @property {string} title
 * @property {string} [reason]
 *
 * @typedef {object} TestSummary
 * @property {number} passed
 * @property {number} failed Failed tests, files and hooks that failed, and errors outside of any test.
 * @property {SkippedTest[]} skipped
 */

export default class SummaryReporter {
  /**
   * @param {readonly import("vitest/node").TestModule[]} modules
   * @param {readonly unknown[]} unhandledErrors
   */
  onTestRunEnd(modules, unhandledErrors) {
    const file = process.env["CORTEX_TEST_SUMMARY"];
    if (file === undefined) return;
    /** @type {TestSummary} */
    const summary = { passed: 0, failed: unhandledErrors.length, skipped: [] };
    for (const module of modules) addModule(summary, module);
    writeFileSync(file, JSON.stringify(summary));
  }
}

/**
 * @param {TestSummary} summary
 * @param {import("vitest/node").TestModule} module
 */
function addModule(summary, module) {
  summary.failed += module.errors().length;
  for (const suite of module.children.allSuites()) summary.failed += suite.errors().length;
  for (const test of module.children.allTests()) {
    const result = test.result();
    if (result.state === "passed") summary.passed += 1;
    else if (result.state === "skipped") {
      const title = `${module.relativeModuleId} > ${test.fullName}`;
      summary.skipped.push(result.note === undefined ? { title } : { title, reason: result.note });
    } else summary.failed += 1; // failed, or never run
  }
}
