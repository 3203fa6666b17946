/**
 * Moves records from memory to the segments and makes them durable: one write or sync at a time, each for all that
 * waits (group commit).
 *
 * Invariants:
 * - (W1) a full disk pauses writing and loses nothing: what was appended stays in memory and is tried again;
 * - (W2) after any other failure nothing is written any more: what reached the disk is then unknown;
 * - (W3) a record that comes after a pause is written at once; in a stream of records each write takes what gathered
 *   since the last one, and none waits longer than {@link GATHER_MS}.
 */

import type { Clock, Timer } from "../clock.js";
import { CortexError, isCortexError } from "../errors.js";
import type { FlushQueue } from "./flush-queue.js";
import { createFlushQueue } from "./flush-queue.js";
import { systemErrorCode } from "./log-files.js";
import type { LogTail } from "./log-tail.js";
import { recordSizeBytes } from "./record-codec.js";
import type { SegmentFile } from "./segment-file.js";
import type { SegmentSet } from "./segment-set.js";

/** Most bytes of one write: large enough that the cost of a call does not show. */
const WRITE_BYTES: number = 4 * 1024 * 1024;

/** Bytes that are written without waiting for more: below, a call costs more than what it writes. */
const GATHER_BYTES: number = 512 * 1024;

/** Pause after a write in which fewer bytes than that gather, in milliseconds; a flush does not wait for it. */
const GATHER_MS = 10;

/** Pause before writing is tried again on a full disk, in milliseconds. */
const FULL_DISK_RETRY_MS = 1_000;

const FULL_DISK_CODES: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT", "EFBIG"]);

/** What a writer works on. */
export interface SegmentWriterOptions {
  readonly directory: string;
  readonly clock: Clock;
  readonly set: SegmentSet;
  /** A segment of this length or more is full. */
  readonly segmentBytes: number;
  /** The records to write. */
  readonly tail: LogTail;
  /** Called after records were written, and when writing paused or failed. */
  readonly onChange: () => void;
}

/** The part of a log that writes. */
export interface SegmentWriter {
  readonly writtenSeq: number;
  /** Bytes on disk of all records this writer wrote. */
  readonly writtenBytes: number;
  readonly durableSeq: number;
  /** Why writing is paused (W1); `undefined` while it is not. */
  readonly pause: CortexError | undefined;
  /** Why writing has ended (W2); `undefined` while it has not. */
  readonly failure: CortexError | undefined;
  /** Starts writing what the tail holds, unless that is going on. */
  kick(): void;
  /** Resolves once records through `seq` are durable; tries at once when writing is paused. */
  flush(seq: number): Promise<void>;
  /** Ends after the step that is going on; flushes that wait then, or come later, reject with `reason`. */
  stop(reason: CortexError): Promise<void>;
}

/** Makes a writer; it does nothing before the first `kick` or `flush`. */
export function createSegmentWriter(options: SegmentWriterOptions): SegmentWriter {
  const writer: WriterState = {
    options,
    flushes: createFlushQueue(),
    writtenSeq: options.tail.nextSeq - 1,
    writtenBytes: 0,
    durableSeq: (options.set.newest?.firstSeq ?? options.tail.nextSeq) - 1,
    pause: undefined,
    failure: undefined,
    stopReason: undefined,
    retry: undefined,
    gathering: undefined,
    running: undefined,
  };
  return {
    get writtenSeq() {
      return writer.writtenSeq;
    },
    get writtenBytes() {
      return writer.writtenBytes;
    },
    get durableSeq() {
      return writer.durableSeq;
    },
    get pause() {
      return writer.pause;
    },
    get failure() {
      return writer.failure;
    },
    kick: () => kick(writer),
    async flush(seq) {
      if (seq <= writer.durableSeq) return;
      const reason = writer.failure ?? writer.stopReason;
      if (reason !== undefined) throw reason;
      const durable = writer.flushes.wait(seq);
      kick(writer);
      await durable;
    },
    async stop(reason) {
      writer.stopReason ??= reason;
      writer.retry?.cancel();
      writer.gathering?.cancel();
      await writer.running;
      writer.flushes.reject(writer.failure ?? reason);
    },
  };
}

interface WriterState {
  readonly options: SegmentWriterOptions;
  readonly flushes: FlushQueue;
  writtenSeq: number;
  writtenBytes: number;
  durableSeq: number;
  pause: CortexError | undefined;
  failure: CortexError | undefined;
  stopReason: CortexError | undefined;
  retry: Timer | undefined;
  /** Runs for a while after each write (W3). */
  gathering: Timer | undefined;
  running: Promise<void> | undefined;
}

function kick(writer: WriterState): void {
  if (writer.failure !== undefined || writer.stopReason !== undefined || writer.running !== undefined) return;
  if (isWorthwhile(writer)) writer.running = run(writer);
}

/** Whether there is something to do that does not wait for more (W3). */
function isWorthwhile(writer: WriterState): boolean {
  if (!writer.flushes.isEmpty) return true;
  if (!hasUnwritten(writer)) return false;
  return writer.gathering === undefined || writer.options.tail.pushedBytes - writer.writtenBytes >= GATHER_BYTES;
}

function gather(writer: WriterState): void {
  writer.gathering?.cancel();
  writer.gathering = writer.options.clock.setTimer(() => {
    writer.gathering = undefined;
    kick(writer);
  }, GATHER_MS);
}

async function run(writer: WriterState): Promise<void> {
  // What is appended in the same turn goes out in the same write.
  await Promise.resolve();
  try {
    while (writer.stopReason === undefined && isWorthwhile(writer)) {
      if (hasUnwritten(writer)) await writeNext(writer);
      if (writer.flushes.isDue(writer.writtenSeq)) await syncWritten(writer);
    }
  } catch (error) {
    giveUp(writer, error);
  } finally {
    writer.running = undefined;
  }
}

function hasUnwritten(writer: WriterState): boolean {
  return writer.writtenSeq < writer.options.tail.nextSeq - 1;
}

async function writeNext(writer: WriterState): Promise<void> {
  const { segmentBytes, tail } = writer.options;
  const segment = await segmentWithRoom(writer);
  const maxBytes = Math.min(WRITE_BYTES, segmentBytes - segment.endBytes);
  const records = tail.slice({ afterSeq: writer.writtenSeq, maxBytes, throughSeq: Number.POSITIVE_INFINITY });
  await segment.write(records);
  writer.writtenSeq = segment.lastSeq;
  for (const record of records) writer.writtenBytes += recordSizeBytes(record);
  writer.pause = undefined;
  gather(writer);
  writer.options.onChange();
}

async function segmentWithRoom(writer: WriterState): Promise<SegmentFile> {
  const { set, segmentBytes } = writer.options;
  const { newest } = set;
  // An empty segment is never full: the next one would have the same first record, and so the same name.
  const hasRoom = newest !== undefined && (newest.endBytes < segmentBytes || newest.lastSeq < newest.firstSeq);
  // A segment has no hole: after one the next begins.
  if (hasRoom && newest.lastSeq === writer.writtenSeq) return newest;
  const added = await set.add(writer.writtenSeq + 1);
  // Adding a segment syncs the one before it.
  if (newest !== undefined) writer.durableSeq = Math.max(writer.durableSeq, newest.lastSeq);
  return added;
}

async function syncWritten(writer: WriterState): Promise<void> {
  await writer.options.set.sync();
  writer.durableSeq = Math.max(writer.durableSeq, writer.writtenSeq);
  writer.flushes.resolve(writer.durableSeq);
}

function giveUp(writer: WriterState, error: unknown): void {
  const { clock, directory, onChange } = writer.options;
  // A sync that failed comes as a CortexError and is never a mere pause (W2).
  const isFullDisk = !isCortexError(error) && FULL_DISK_CODES.has(systemErrorCode(error) ?? "");
  const reason = isCortexError(error) ? error : toWriteError(error, { directory, isFullDisk });
  if (isFullDisk) {
    writer.pause = reason;
    writer.gathering?.cancel();
    writer.gathering = undefined;
    writer.retry?.cancel();
    writer.retry = clock.setTimer(() => kick(writer), FULL_DISK_RETRY_MS);
  } else {
    writer.failure = reason;
  }
  writer.flushes.reject(reason);
  onChange();
}

function toWriteError(cause: unknown, context: { directory: string; isFullDisk: boolean }): CortexError {
  const { directory, isFullDisk } = context;
  const problem = cause instanceof Error ? cause.message : String(cause);
  const message = `the log in ${directory} cannot be written: ${problem}`;
  return new CortexError(isFullDisk ? "STORAGE_FULL" : "INTERNAL", message, { cause, details: { directory } });
}
