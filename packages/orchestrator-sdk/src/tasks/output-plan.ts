/** How records of an output log become writes and events. Pure. */
import { cutBetweenCharacters, openCharacterBytes } from "@cortex-mesh/protocol/log";
import type { Json, NewTaskEvent } from "../store/records.js";
import type { OutputStream } from "./output-files.js";

/** Bytes of one commit, so that a noisy task shares the disk with the others. */
const MAX_COMMIT_BYTES = 2 * 1024 * 1024;
/** Neighbouring pieces of one stream become one event up to this size. */
export const MAX_EVENT_BYTES = 64 * 1024;
/** What a record costs beside its content: many small ones are not free. */
const PIECE_OVERHEAD_BYTES = 256;

/** One record of an attempt's log. */
export interface OutputPiece {
  /** The node's number, from 1. */
  readonly seq: number;
  /** Last number that a gap stands for. */
  readonly throughSeq?: number;
  readonly kind: "stdout" | "stderr" | "progress" | "artifact" | "gap";
  readonly atMs: number;
  /** The content as it came; bytes of `stdout` and `stderr`. */
  readonly bytes: Uint8Array;
  /** Content of the other kinds. */
  readonly data: Json;
}

/** Memory that records take while they wait. */
export function costOf(pieces: readonly OutputPiece[]): number {
  return pieces.reduce((sum, { bytes }) => sum + bytes.byteLength + PIECE_OVERHEAD_BYTES, 0);
}

/** Takes pieces off the front, up to the size of one commit. */
export function takeBatch(pending: OutputPiece[]): OutputPiece[] {
  let cost = 0;
  let count = 0;
  for (const piece of pending) {
    cost += costOf([piece]);
    if (count > 0 && cost > MAX_COMMIT_BYTES) break;
    count++;
  }
  return pending.splice(0, count);
}

interface PlannedWrite {
  readonly stream: OutputStream;
  readonly offset: number;
  readonly chunks: Uint8Array[];
}

interface Plan {
  readonly events: NewTaskEvent[];
  readonly writes: PlannedWrite[];
  readonly sizes: { readonly stdoutBytes: number; readonly stderrBytes: number };
  /** One of the events is a gap. */
  readonly hasGap: boolean;
}

/** Turns records into events with offsets, and into one write a stream. */
export function planEvents(
  pieces: readonly OutputPiece[],
  from: { readonly stdoutBytes: number; readonly stderrBytes: number },
): Plan {
  const end = { stdout: from.stdoutBytes, stderr: from.stderrBytes };
  const writes = new Map<OutputStream, PlannedWrite>();
  const events: NewTaskEvent[] = [];
  for (const [index, { kind, atMs, bytes, data }] of pieces.entries()) {
    const before = pieces[index - 1];
    if (kind !== "stdout" && kind !== "stderr") {
      events.push({ kind, atMs, data, offset: 0, length: 0 });
      continue;
    }
    const write = writes.get(kind) ?? { stream: kind, offset: end[kind], chunks: [] };
    writes.set(kind, write);
    write.chunks.push(bytes);
    const next = { kind, atMs, data: null, offset: end[kind], length: 0 };
    addBytes(events, { next, bytes, before: before?.kind === kind ? before.bytes : undefined });
    end[kind] += bytes.byteLength;
  }
  const hasGap = pieces.some(({ kind }) => kind === "gap");
  return { events, writes: [...writes.values()], sizes: { stdoutBytes: end.stdout, stderrBytes: end.stderr }, hasGap };
}

/** Bytes of one stream, where they go, and the bytes of the record before them if that was of the same stream. */
interface AddedBytes {
  readonly next: NewTaskEvent;
  readonly bytes: Uint8Array;
  readonly before: Uint8Array | undefined;
}

/**
 * Adds bytes to the last event, or as new ones where that would be too long. Each cut goes between two characters: the
 * start of one that the last event ends with becomes the next one's.
 */
function addBytes(events: NewTaskEvent[], { next, bytes, before }: AddedBytes): void {
  const newest = events.at(-1);
  // A record without bytes made no event: the newest one is of the other stream.
  const last = before !== undefined && newest?.kind === next.kind ? newest : undefined;
  if (last !== undefined && last.length + bytes.byteLength <= MAX_EVENT_BYTES) {
    events[events.length - 1] = { ...last, length: last.length + bytes.byteLength };
    return;
  }
  let movedBytes = before === undefined ? 0 : openCharacterBytes(before);
  if (last === undefined || last.length <= movedBytes) movedBytes = 0;
  else events[events.length - 1] = { ...last, length: last.length - movedBytes };
  for (let at = 0; at < bytes.byteLength; movedBytes = 0) {
    const length = cutBetweenCharacters(bytes.subarray(at), MAX_EVENT_BYTES - movedBytes);
    events.push({ ...next, offset: next.offset + at - movedBytes, length: length + movedBytes });
    at += length;
  }
}
