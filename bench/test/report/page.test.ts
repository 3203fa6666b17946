import { describe, expect, it } from "vitest";
import { cellsOf, formatFigure } from "../../src/report/figures.js";
import { writePage } from "../../src/report/page.js";
import { makeProof } from "../../src/report/proof.js";
import { textTable } from "../../src/report/text-table.js";
import type { Row } from "../../src/row.js";
import { judgeRow } from "../../src/verdict.js";

const row: Row = {
  name: "echo",
  what: "an echo",
  floor: "a bare echo",
  bar: { kind: "atMost", ratio: 1.3 },
  measure: () => Promise.resolve([]),
};
const passed = judgeRow(row, {
  name: "echo",
  state: "measured",
  measurements: [{ label: "p50", unit: "us", floor: [50, 52, 54], subject: [60, 61, 62], facts: { count: 3000 } }],
});
const notRun = judgeRow({ ...row, name: "disk" }, { name: "disk", state: "notRun", reason: "no disk" });

describe("the report", () => {
  it("figures keep three digits that mean something", () => {
    expect([1.234, 12.34, 123.4, 1_234_567, 0].map(formatFigure)).toEqual(["1.23", "12.3", "123", "1,234,567", "0.00"]);
  });

  it("a row has its medians, ratio, bar and verdict, or the reason why it has none", () => {
    expect(cellsOf(passed)).toEqual([["echo", "p50", "52.0 us (±2 %)", "61.0 us (±1 %)", "1.17x", "<= 1.3x", "pass"]]);
    expect(cellsOf(notRun)).toEqual([["disk", "no disk", "", "", "", "<= 1.3x", "not-run"]]);
  });

  it("a table for the terminal lines its columns up", () => {
    const lines = [
      ["row", "ratio"],
      ["long name", "1x"],
      ["a", "22x"],
    ];
    expect(textTable(lines).split("\n")).toEqual([
      "row        ratio",
      "---------  -----",
      "long name  1x",
      "a          22x",
    ]);
  });

  it("the page says what was run, where, what came of it and what is not measured", () => {
    const proof = makeProof({
      commit: "abc",
      command: "npm run bench",
      date: "2026-01-02T03:04:05.000Z",
      seeds: [],
      machine: { cores: 2, cpuModel: "CPU", memoryGib: 8, node: "v20", kernel: "6.1", platform: "linux x64" },
      load: { before: 0.1, after: 1.2 },
      figures: [passed, notRun],
    });
    expect(proof.counts).toEqual({ rows: 2, passed: 1, failed: 0, notRun: 1 });
    const page = writePage(proof);
    for (const text of [
      "| echo | p50 | 52.0 us (±2 %) | 61.0 us (±1 %) | 1.17x | <= 1.3x | pass |",
      "| disk | no disk |",
      "1 passed, 0 failed, 1 not run",
      "## What is not measured",
      "`npm run bench`",
      "`abc`",
      "2026-01-02T03:04:05.000Z",
      "2 cores (CPU), 8 GiB, linux x64, kernel 6.1, Node v20",
      "count 3,000",
    ]) {
      expect(page).toContain(text);
    }
  });
});
