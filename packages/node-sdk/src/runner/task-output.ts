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
  const { key, spool, clock } = options;
  const patience = new AbortController();
  /** What is left of a task that has ended need not wait for the sender. */
  const hurry = new AbortController();
  let waiting: Timer | undefined;
  let spooled: Promise<SpooledLog> | undefined;
  let [hasFailed, appending] = [false, 0];
  let onIdle = (): void => {};

  async function append(kind: number, bytes: Uint8Array): Promise<void> {
    if (hasFailed) return limit.lose(bytes.byteLength);
    appending += 1;
    try {
      spooled ??= spool.open(key);
      const opened = await spooled;
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
      if (spooled === undefined && limit.lost.lostBytes === 0) return 0;
      const { log } = await (spooled ?? spool.open(key));
      return hasFailed ? log.durableSeq : await seal(log, limit.lost, clock);
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
