/**
 * Whether the output that a user reads is what the processes wrote. Pure.
 *
 * Each attempt adds what came of it: an attempt that was given up, the beginning of what it wrote; the last one, when its
 * node reported its end, all of it.
 */
import type { Effect } from "./effects.js";

/** The output of a task as a user reads it. */
export interface StreamBytes {
  readonly task: {
    readonly state: string;
    readonly attempt: number;
    readonly cause: string | null;
    /** Null when the task was in the queue at its end. */
    readonly nodeId: string | null;
  };
  readonly stdout: string;
  readonly stderr: string;
}

const STREAMS = ["stdout", "stderr"] as const;

/** Says what is wrong; empty when nothing is. */
export function checkOutput(reading: StreamBytes, effects: readonly Effect[]): readonly string[] {
  const { task } = reading;
  const byAttempt = [...effects].sort((a, b) => a.attempt - b.attempt);
  return STREAMS.flatMap((stream) => {
    const read = reading[stream];
    const written = byAttempt.map((effect) => ({
      text: effect.written[stream],
      isWhole: effect.attempt === task.attempt && isReported(task),
    }));
    if (isMadeOf(read, written)) return [];
    const sizes = byAttempt.map((effect) => `${effect.written[stream].length} by attempt ${effect.attempt}`).join(", ");
    return [`has ${stream} of ${read.length} bytes that is not what was written (${sizes || "nothing"})`];
  });
}

/** Whether the node saw the end of the process. */
function isReported({ state, cause, nodeId }: StreamBytes["task"]): boolean {
  return (
    nodeId !== null && state !== "indeterminate" && (cause === "exit" || cause === "killed" || cause === "timeout")
  );
}

interface Part {
  readonly text: string;
  readonly isWhole: boolean;
}

/** Whether `read` is a beginning of each part after the other, and all of those that are whole. */
function isMadeOf(read: string, parts: readonly Part[]): boolean {
  const [first, ...rest] = parts;
  if (first === undefined) return read === "";
  if (first.isWhole) return read.startsWith(first.text) && isMadeOf(read.slice(first.text.length), rest);
  for (let length = commonLength(read, first.text); length >= 0; length -= 1) {
    if (isMadeOf(read.slice(length), rest)) return true;
  }
  return false;
}

function commonLength(left: string, right: string): number {
  const limit = Math.min(left.length, right.length);
  let length = 0;
  while (length < limit && left.charCodeAt(length) === right.charCodeAt(length)) length += 1;
  return length;
}
