/**
 * The output of one attempt on its way to its log: limited, in order, and slow when the log is slow.
 *
 * (O1) What is over the limit is counted and never kept; one gap record at the end says how much it was.
 * (O2) The log is made by the first byte; a silent task has none.
 * (O3) Memory: the log holds at most its own pending limit; a write waits before it adds to that.
 */
import { type Clock, isCortexError, MAX_OUTPUT_CHUNK_BYTES, type Timer } from "@cortex-mesh/protocol";
import { LogKind } from "@cortex-mesh/protocol/gen";
import type { LogGap, SegmentLog } from "@cortex-mesh/protocol/log";
import type { AttemptKey } from "../inbox/inbox.js";
import type { OutputStream } from "../skills/node-skill.js";
import type { Spool, SpooledLog } from "./spool.js";

/** Kinds by what a record holds; their numbers are those on the wire. A gap is the log's own kind. */
const RECORD_KINDS = { stdout: LogKind.STDOUT, stderr: LogKind.STDERR, progress: LogKind.PROGRESS } as const;

/** How long the last output of a task that has ended may wait for room, in milliseconds; then it becomes a gap. */
const LAST_OUTPUT_WAIT_MS = 5_000;
/** Pause before a full disk is tried again, in milliseconds. */
const FULL_DISK_RETRY_MS = 1_000;

/** The output of one attempt. */
export interface TaskOutput {
  /** Resolves when there is room for more; never rejects. */
  write(stream: OutputStream, bytes: Uint8Array): Promise<void>;
  /** Counts output that is not kept. */
  lose(sizeBytes: number): void;
  /** Adds a JSON value in order with the output and within its limit; one over the chunk limit is left out. */
  progress(json: Uint8Array): Promise<void>;
  /** The task has ended: what is still to come may wait for room no longer than a few seconds. */
  limitWaiting(): void;
  /** Makes all of it durable and gives the number of the last record; 0 when there is none. */
  finish(): Promise<number>;
}

/** What {@link createTaskOutput} needs. */
export interface TaskOutputOptions {
  readonly key: AttemptKey;
  readonly spool: Spool;
  readonly clock: Clock;
  /** Bytes that are kept. */
  readonly limitBytes: number;
  /** Called for each write. */
  readonly onActivity: () => void;
  /** Called once, when the limit is passed. */
  readonly onLimit: () => void;
  /** Called once, when the log cannot keep what is written. */
  readonly onFailure: (error: unknown) => void;
}

/** Makes the output of an attempt that starts. */
export function createTaskOutput(options: TaskOutputOptions): TaskOutput {
  const { key, spool, clock, limitBytes } = options;
  const patience = new AbortController();
  let waiting: Timer | undefined;
  let spooled: Promise<SpooledLog> | undefined;
  let [keptBytes, lostBytes, lostPieces] = [0, 0, 0];
  let [isOverLimit, hasFailed] = [false, false];

  const lose = (sizeBytes: number): void => {
    lostBytes += sizeBytes;
    lostPieces += 1;
  };

  async function append(kind: number, bytes: Uint8Array): Promise<void> {
    try {
      spooled ??= spool.open(key);
      const { log } = await spooled;
      while (!log.canAppend) await log.ready({ signal: patience.signal });
      log.append(kind, bytes);
    } catch (error) {
      lose(bytes.byteLength);
      if (patience.signal.aborted || hasFailed) return;
      hasFailed = true;
      options.onFailure(error);
    }
  }

  async function writePiece(kind: number, piece: Uint8Array): Promise<void> {
    if (isOverLimit || hasFailed) return lose(piece.byteLength);
    const kept = piece.subarray(0, limitBytes - keptBytes);
    keptBytes += kept.byteLength;
    if (kept.byteLength < piece.byteLength) {
      isOverLimit = true;
      lose(piece.byteLength - kept.byteLength);
      options.onLimit();
    }
    if (kept.byteLength > 0) await append(kind, kept);
  }

  return {
    async write(stream, bytes) {
      options.onActivity();
      for (let at = 0; at < bytes.byteLength; at += MAX_OUTPUT_CHUNK_BYTES) {
        await writePiece(RECORD_KINDS[stream], bytes.subarray(at, at + MAX_OUTPUT_CHUNK_BYTES));
      }
    },
    lose,
    async progress(json) {
      options.onActivity();
      // A part of a value is of no use to a reader, so that it is kept whole or not at all.
      const roomBytes = Math.min(MAX_OUTPUT_CHUNK_BYTES, limitBytes - keptBytes);
      if (json.byteLength > roomBytes || isOverLimit || hasFailed) return;
      keptBytes += json.byteLength;
      await append(RECORD_KINDS.progress, json);
    },
    limitWaiting: () => void (waiting ??= clock.setTimer(() => patience.abort(), LAST_OUTPUT_WAIT_MS)),
    async finish() {
      waiting?.cancel();
      // What a function that did not stop still writes comes too late.
      patience.abort();
      if (spooled === undefined && lostBytes === 0) return 0;
      const { log } = await (spooled ?? spool.open(key));
      return hasFailed ? log.durableSeq : await seal(log, { lostBytes, lostRecords: lostPieces }, clock);
    },
  };
}

/** Says what was lost and makes all of it durable; gives the number of the last record. */
async function seal(log: SegmentLog, lost: LogGap, clock: Clock): Promise<number> {
  if (lost.lostBytes > 0) log.appendGap(lost);
  await flushWithRetry(() => log.flush(), clock);
  return log.nextSeq - 1;
}

/** A full disk loses nothing; it is waited out. */
async function flushWithRetry(flush: () => Promise<void>, clock: Clock): Promise<void> {
  for (;;) {
    try {
      await flush();
      return;
    } catch (error) {
      if (!isCortexError(error) || error.code !== "STORAGE_FULL") throw error;
    }
    await new Promise<void>((resolve) => {
      clock.setTimer(resolve, FULL_DISK_RETRY_MS);
    });
  }
}
