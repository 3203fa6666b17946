/**
 * The output of one attempt on its way to its log: limited, in order, and slow when the log is slow.
 *
 * (O1) What is over the limit is counted and never kept; one gap record at the end says how much it was.
 * (O2) The log is made by the first byte; a silent task has none.
 * (O3) Memory: the log holds at most its own pending limit; a write waits before it adds to that. While a connection
 * sends the log, a write also waits until the sender is near.
 * (O4) A character of UTF-8 is in one record, unless its rest does not come.
 */
import { type Clock, isCortexError, MAX_OUTPUT_CHUNK_BYTES, type Timer } from "@cortex-mesh/protocol";
import { LogKind } from "@cortex-mesh/protocol/gen";
import type { LogGap, SegmentLog } from "@cortex-mesh/protocol/log";
import type { AttemptKey } from "../inbox/inbox.js";
import type { OutputStream } from "../skills/node-skill.js";
import { createOutputLimit } from "./output-limit.js";
import type { Spool, SpooledLog } from "./spool.js";
import { createStreamWriter, type StreamWriter } from "./stream-writer.js";

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
  /** Makes all of it durable, as far as the disk lets it; waits while that is full. Never rejects. */
  finish(): Promise<FinishedOutput>;
}

/** Output that has ended. */
export interface FinishedOutput {
  /** The last record that the hub is to hear of, also one that is not on disk: it is told as a hole. 0 when there is none. */
  readonly lastSeq: number;
  /** Whether all records are on disk. */
  readonly isDurable: boolean;
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
  const { key, spool, clock } = options;
  const patience = new AbortController();
  /** What is left of a task that has ended need not wait for the sender. */
  const hurry = new AbortController();
  let waiting: Timer | undefined;
  const opener = createOpener(spool, key);
  let [hasFailed, appending] = [false, 0];
  let onIdle = (): void => {};

  async function append(kind: number, bytes: Uint8Array): Promise<void> {
    if (hasFailed) return limit.lose(bytes.byteLength);
    appending += 1;
    try {
      const opened = await opener.open();
      await waitForRoom(opened, { hurry, patience });
      opened.log.append(kind, bytes);
    } catch (error) {
      limit.lose(bytes.byteLength);
      if (patience.signal.aborted || hasFailed) return;
      hasFailed = true;
      options.onFailure(error);
    } finally {
      appending -= 1;
      if (appending === 0) onIdle();
    }
  }

  const limit = createOutputLimit(options.limitBytes, options.onLimit);
  const streams = createStreams(clock, async (stream, bytes) => {
    const kept = limit.keep(bytes);
    if (kept.byteLength > 0) await append(RECORD_KINDS[stream], kept);
  });
  const limitWaiting = (): void => {
    hurry.abort();
    waiting ??= clock.setTimer(() => patience.abort(), LAST_OUTPUT_WAIT_MS);
  };

  return {
    async write(stream, bytes) {
      options.onActivity();
      await streams[stream].write(bytes);
    },
    lose: limit.lose,
    async progress(json) {
      options.onActivity();
      if (json.byteLength <= MAX_OUTPUT_CHUNK_BYTES && !hasFailed && limit.keepWhole(json)) {
        await append(RECORD_KINDS.progress, json);
      }
    },
    limitWaiting,
    async finish() {
      limitWaiting();
      for (const stream of Object.values(streams)) await stream.end();
      waiting?.cancel();
      // What a function that did not stop still writes comes too late.
      patience.abort();
      // What waited for room until now is lost, and has to be counted first.
      if (appending > 0) await new Promise<void>((resolve) => (onIdle = resolve));
      if (!opener.isWanted && limit.lost.lostBytes === 0) return { lastSeq: 0, isDurable: true };
      return await seal(opener, limit.lost, clock);
    },
  };
}

interface Opener {
  /** Whether the log was opened or is being opened. */
  readonly isWanted: boolean;
  /** One that could not be opened is tried again by who asks next. */
  open(): Promise<SpooledLog>;
}

function createOpener(spool: Spool, key: AttemptKey): Opener {
  let spooled: Promise<SpooledLog> | undefined;
  return {
    get isWanted() {
      return spooled !== undefined;
    },
    async open() {
      spooled ??= spool.open(key);
      try {
        return await spooled;
      } catch (error) {
        spooled = undefined;
        throw error;
      }
    },
  };
}

async function waitForRoom(
  { log, flow }: SpooledLog,
  { hurry, patience }: Readonly<Record<"hurry" | "patience", AbortController>>,
): Promise<void> {
  if (!flow.hasRoom) await flow.ready(hurry.signal);
  while (!log.canAppend) await log.ready({ signal: patience.signal });
}

function createStreams(
  clock: Clock,
  emit: (stream: OutputStream, record: Uint8Array) => Promise<void>,
): Readonly<Record<OutputStream, StreamWriter>> {
  return {
    stdout: createStreamWriter(clock, (record) => emit("stdout", record)),
    stderr: createStreamWriter(clock, (record) => emit("stderr", record)),
  };
}

/**
 * Says what was lost and makes all of it durable.
 *
 * A log that failed keeps its last records and the gap in memory, from where they are sent; when they are gone with this
 * process, the next one tells of them as a hole, because the number of the last one is known.
 */
async function seal(opener: Opener, lost: LogGap, clock: Clock): Promise<FinishedOutput> {
  let log: SegmentLog;
  try {
    ({ log } = await opener.open());
  } catch {
    // There is no log that could say what is lost.
    return { lastSeq: 0, isDurable: false };
  }
  // First: a log whose disk is full takes no gap.
  const isFlushed = await flushed(log, clock);
  if (lost.lostBytes === 0) return { lastSeq: log.nextSeq - 1, isDurable: isFlushed };
  try {
    log.appendGap(lost);
  } catch {
    // Closed: the process ends. A record that never was makes the loss a hole for the next one.
    return { lastSeq: log.nextSeq, isDurable: false };
  }
  return { lastSeq: log.nextSeq - 1, isDurable: await flushed(log, clock) };
}

/** Whether all records are on disk. A full disk loses nothing; it is waited out. */
async function flushed(log: SegmentLog, clock: Clock): Promise<boolean> {
  for (;;) {
    try {
      await log.flush();
      return true;
    } catch (error) {
      if (!isCortexError(error) || error.code !== "STORAGE_FULL") return false;
    }
    await new Promise<void>((resolve) => {
      clock.setTimer(resolve, FULL_DISK_RETRY_MS);
    });
  }
}
