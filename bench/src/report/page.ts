/** The page `docs/benchmarks.md`, written from a proof and from nothing else. Pure. */
import { describeBar, type JudgedRow } from "../verdict.js";
import { COLUMNS, cellsOf, formatFigure } from "./figures.js";
import type { Proof } from "./proof.js";

/** What no row measures, so that nobody reads it into the table. */
const NOT_MEASURED: readonly string[] = [
  "Absolute figures: those of another machine differ; only the ratios to the floors of the same run are compared.",
  "Networks: everything runs on one machine over loopback. The link of 40 ms is a delay in user space, without loss and without a limit of bandwidth.",
  "Many busy nodes, several hubs, Postgres: one hub on SQLite; where there are many nodes they are idle and have no disk.",
  "Isolation: tasks run at the level `none`, so the cost of a sandbox is not in these figures.",
  "Files, artifacts, browsers and editors.",
  "Worst cases: medians only; the spread beside them is half of the distance between the quartiles.",
  "The HTTP API: the SDK is called in the process of the hub.",
];

/** Writes the page. */
export function writePage(proof: Proof): string {
  const { machine, load, counts } = proof;
  return [
    "# Benchmarks",
    "",
    "Each row is measured against a floor in the same run on the same machine: the median of Cortex divided by the median",
    `of the floor is held against the bar. ${counts.passed} passed, ${counts.failed} failed, ${counts.notRun} not run.`,
    "",
    markdownTable(proof.figures),
    "",
    "## What the rows measure",
    "",
    ...proof.figures.flatMap(describeRow),
    "## What is not measured",
    "",
    ...NOT_MEASURED.map((line) => `- ${line}`),
    "",
    "## The run",
    "",
    `- Command: \`${proof.command}\`, which writes this page and \`docs/proof/${proof.name}.json\` with every sample.`,
    `- Commit: \`${proof.commit}\`; date: ${proof.date}.`,
    `- Machine: ${machine.cores} cores (${machine.cpuModel}), ${machine.memoryGib} GiB, ${machine.platform}, kernel ${machine.kernel}, Node ${machine.node}.`,
    `- Load of the last minute: ${load.before} before, ${load.after} after.`,
    "",
  ].join("\n");
}

function markdownTable(rows: readonly JudgedRow[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(COLUMNS), line(COLUMNS.map(() => "---")), ...rows.flatMap(cellsOf).map(line)].join("\n");
}

function describeRow(row: JudgedRow): string[] {
  const facts = row.measurements.map(({ label, floor, subject, facts: figures }) => {
    const listed = Object.entries(figures).map(
      ([name, value]) => `${name} ${typeof value === "number" ? formatFact(value) : value}`,
    );
    return `- ${label}: ${floor.length} and ${subject.length} samples; ${listed.join(", ")}`;
  });
  return [
    `**${row.name}** (${describeBar(row.bar)}): ${row.what}. Floor: ${row.floor}.`,
    "",
    ...facts,
    ...(row.reason === undefined ? [] : [`- ${row.outcome}: ${row.reason}`]),
    ...(facts.length > 0 ? [""] : []),
  ];
}

function formatFact(value: number): string {
  return Number.isInteger(value) ? value.toLocaleString("en-US") : formatFigure(value);
}
