/**
 * Whether the output that a user reads is what the processes wrote. Pure.
 *
 * Each attempt adds what came of it: an attempt that was given up, the beginning of what it wrote; the last one, when its
 * node reported its end, all of it. Where a gap may be, one run of what was written is missing for each.
 */
import type { Effect } from "./effects.js";
import type { SeenEvent } from "./seen-event.js";

/** The output of a task as a user reads it. */
export interface StreamBytes {
  readonly task: {
    readonly state: string;
    readonly attempt: number;
    readonly cause: string | null;
    /** Null when the task was in the queue at its end. */
    readonly nodeId: string | null;
    readonly output: { readonly complete: boolean };
  };
  readonly events: readonly SeenEvent[];
  readonly stdout: string;
  readonly stderr: string;
}

const STREAMS = ["stdout", "stderr"] as const;

/** Says what is wrong; empty when nothing is. `mayLose` says whether the log of an attempt may have lost records. */
export function checkOutput(
  reading: StreamBytes,
  effects: readonly Effect[],
  mayLose: (effect: Effect) => boolean,
): readonly string[] {
  const { task, events } = reading;
  const parts = byAttempt(events);
  const faults: string[] = [];
  for (const stream of STREAMS) {
    const followed = events.filter(({ kind }) => kind === stream).reduce((all, { text }) => all + text, "");
    if (followed === reading[stream]) continue;
    faults.push(`has ${stream} of ${reading[stream].length} bytes, and its events are ${followed.length} other bytes`);
  }
  for (const [attempt, part] of parts) {
    const effect = effects.find((each) => each.attempt === attempt);
    const gapCount = part.filter(({ kind }) => kind === "gap").length;
    if (gapCount > 0 && (effect === undefined || !mayLose(effect))) {
      faults.push(`has ${gapCount} gaps in the output of attempt ${attempt}, whose node was there until its end`);
    }
    const isWhole = attempt === task.attempt && isReported(task);
    faults.push(...checkAttempt({ attempt, part, effect, isWhole }));
  }
  const last = effects.find(({ attempt }) => attempt === task.attempt);
  if (isReported(task) && last !== undefined && !parts.has(task.attempt)) {
    faults.push(...checkAttempt({ attempt: task.attempt, part: [], effect: last, isWhole: true }));
  }
  return [...faults, ...checkComplete(reading)];
}

/** Whether the node saw the end of the process. */
function isReported({ state, cause, nodeId }: StreamBytes["task"]): boolean {
  return (
    nodeId !== null && state !== "indeterminate" && (cause === "exit" || cause === "killed" || cause === "timeout")
  );
}

/** Output and gaps by the attempt that ran when they came. */
function byAttempt(events: readonly SeenEvent[]): ReadonlyMap<number, readonly SeenEvent[]> {
  const parts = new Map<number, SeenEvent[]>();
  let attempt = 0;
  for (const event of events) {
    attempt = event.attempt ?? attempt;
    if (event.kind !== "stdout" && event.kind !== "stderr" && event.kind !== "gap") continue;
    parts.set(attempt, [...(parts.get(attempt) ?? []), event]);
  }
  return parts;
}

function checkAttempt({
  attempt,
  part,
  effect,
  isWhole,
}: {
  readonly attempt: number;
  readonly part: readonly SeenEvent[];
  readonly effect: Effect | undefined;
  readonly isWhole: boolean;
}): readonly string[] {
  return STREAMS.flatMap((stream) => {
    const written = effect?.written[stream] ?? "";
    const pieces = piecesOf(part, stream);
    if (isMadeOf(written, pieces, isWhole)) return [];
    const readBytes = pieces.join("").length;
    return [
      `has ${stream} of ${readBytes} bytes from attempt ${attempt} that is not what was written (${written.length} bytes)`,
    ];
  });
}

/** What came before, between and behind the gaps. */
function piecesOf(part: readonly SeenEvent[], stream: string): readonly string[] {
  const pieces = [""];
  for (const { kind, text } of part) {
    if (kind === "gap") pieces.push("");
    else if (kind === stream) pieces[pieces.length - 1] += text;
  }
  return pieces;
}

/** Whether the pieces are what was written, one run less for each gap; to its end when that is whole. */
function isMadeOf(written: string, pieces: readonly string[], isWhole: boolean): boolean {
  const [first = "", ...behind] = pieces;
  if (!written.startsWith(first)) return false;
  if (behind.length === 0) return !isWhole || written === first;
  const last = behind.pop() ?? "";
  let at = first.length;
  for (const piece of behind) {
    const found = written.indexOf(piece, at);
    if (found === -1) return false;
    at = found + piece.length;
  }
  return isWhole ? written.slice(at).endsWith(last) : written.includes(last, at);
}

/** `complete` is never said where something is missing, and always once the node reported the end and nothing is. */
function checkComplete({ task, events }: StreamBytes): readonly string[] {
  const hasGap = events.some(({ kind }) => kind === "gap");
  if (task.output.complete) return hasGap ? ["is said to have its output complete, and has a gap"] : [];
  return isReported(task) && !hasGap ? ["has all of its output and is not said to be complete"] : [];
}
