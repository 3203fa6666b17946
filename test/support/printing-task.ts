/**
 * Tasks that print numbered lines on both streams and leave one mark in their workspace, and what must come of them.
 *
 * They print in parts: part `p` starts when the file `go-p` is there, so that a test decides what happens before what.
 */
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TaskStreamEvent } from "./programs.js";

/** File in the workspace with a line for each start. */
const EFFECTS = "effects.log";

/** How much they print. */
export interface PrintingPlan {
  readonly parts: number;
  /** Lines of each stream in each part. */
  readonly linesAPart: number;
  /** Time between two lines, in seconds. */
  readonly pauseS: number;
}

/** The command of the task `name`. */
export function printingCommand(name: string, { parts, linesAPart, pauseS }: PrintingPlan): string {
  return [
    `echo ${name} >> ${EFFECTS}`,
    // A pipe that nothing is ever written to: reading it with a limit is a pause without a process.
    "exec 9<> <(:)",
    `for part in $(seq ${parts}); do`,
    "  until [ -e go-$part ]; do read -t 0.02 -u 9; done",
    `  for line in $(seq ${linesAPart}); do`,
    `    echo "${name} out $part $line"; echo "${name} err $part $line" >&2; read -t ${pauseS} -u 9`,
    "  done",
    "done",
    `echo ${name} >> finished.log`,
  ].join("\n");
}

/** Lets every task print a part. */
export function letPrint(workspace: string, part: number): Promise<void> {
  return writeFile(join(workspace, `go-${part}`), "");
}

/** What a stream of the task must hold. */
export function expectedOutput(name: string, stream: "out" | "err", { parts, linesAPart }: PrintingPlan): string {
  const lines: string[] = [];
  for (let part = 1; part <= parts; part += 1) {
    for (let line = 1; line <= linesAPart; line += 1) lines.push(`${name} ${stream} ${part} ${line}\n`);
  }
  return lines.join("");
}

/** Lines that an event adds to the output. */
export function countLines({ event, bytes }: TaskStreamEvent): number {
  return event === "stdout" || event === "stderr" ? bytes.toString("latin1").split("\n").length - 1 : 0;
}

/** The bytes of a stream as the events tell them. */
export function outputIn(events: readonly TaskStreamEvent[], stream: "stdout" | "stderr"): string {
  return Buffer.concat(events.filter(({ event }) => event === stream).map(({ bytes }) => bytes)).toString();
}

/** Each event once, numbered without a gap from 1. */
export function assertGapless(events: readonly TaskStreamEvent[]): void {
  const ids = events.map(({ id }) => Number(id));
  assert.deepEqual(
    ids,
    ids.map((_, index) => index + 1),
    "event numbers have no gap and no repeat",
  );
}

/** How often each task was started, by the marks that it left. */
export async function readEffects(workspace: string, file = EFFECTS): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  const text = await readFile(join(workspace, file), "utf8").catch(() => "");
  for (const name of text.split("\n").slice(0, -1)) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

/** Every name exactly once. */
export async function assertEffectsOnce(workspace: string, names: readonly string[]): Promise<void> {
  const counts = await readEffects(workspace);
  assert.deepEqual([...counts].sort(), names.map((name) => [name, 1] as const).sort(), "each task was started once");
}
