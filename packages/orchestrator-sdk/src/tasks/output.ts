/**
 * Takes the output logs of running attempts: bytes into files, offsets and numbers into the store, then the acknowledgement.
 *
 * - O1 a record is acknowledged only after file and row are durable; a crash between them costs nothing, since the node
 *   sends again and the same range is written again.
 * - O2 the node's numbers only acknowledge the hop: the hub numbers events when it commits them.
 * - O3 what waits in memory is bounded over all tasks; beyond that the stream is not read.
 */
import { CortexError, type NodeId, type TaskId } from "@cortex-mesh/protocol";
import { createReceiveWindow, type ReceiveWindow } from "@cortex-mesh/protocol/log";
import { systemScope } from "../access/scope.js";
import type { Json, NewTaskEvent, OutputRecord, TaskRecord } from "../store/records.js";
import type { HubStore } from "../store/store.js";
import type { Wake } from "../wake/wake.js";
import { isFinal } from "./machine.js";
import type { OutputFiles, OutputStream } from "./output-files.js";

/** Output received and not yet committed, over all tasks: what a slow disk may cost in memory. */
export const MAX_UNCOMMITTED_BYTES = 16 * 1024 * 1024;
/** Bytes of one commit, so that a noisy task shares the disk with the others. */
const MAX_COMMIT_BYTES = 2 * 1024 * 1024;
/** Neighbouring pieces of one stream become one event up to this size. */
const MAX_EVENT_BYTES = 256 * 1024;

/** One record of an attempt's log. */
export interface OutputPiece {
  /** The node's number, from 1. */
  readonly seq: number;
  readonly kind: "stdout" | "stderr" | "progress" | "artifact" | "gap";
  readonly atMs: number;
  /** Bytes of `stdout` and `stderr`. */
  readonly bytes: Uint8Array;
  /** Content of the other kinds. */
  readonly data: Json;
}

/** Names the log of one attempt and the connection it came by. */
export interface OutputSource {
  readonly taskId: TaskId;
  readonly attempt: number;
  readonly nodeId: NodeId;
}

/** What to tell the node about a log. */
export interface OutputAnswer extends OutputSource {
  readonly throughSeq: number;
  readonly resend: boolean;
  readonly refused: boolean;
}

/** Takes output logs. */
export interface OutputReceiver {
  /** Takes one record. Answers go to `answer`, after the commit. */
  receive(source: OutputSource, piece: OutputPiece, answer: (answer: OutputAnswer) => void): void;
  /** Resolves when there is room for more. */
  room(): Promise<void>;
  /** Resolves when the attempt's log is committed through `seq`; rejects when the log is dropped. */
  committed(source: OutputSource, seq: number): Promise<void>;
  /** Forgets an attempt: it ended, or its node went away. Waiters are rejected. */
  drop(taskId: TaskId, attempt: number): void;
  readonly uncommittedBytes: number;
  close(): Promise<void>;
}

/** One attempt's log on its way in. */
interface Sink {
  readonly source: OutputSource;
  readonly window: ReceiveWindow;
  output: OutputRecord;
  pending: OutputPiece[];
  flushing: boolean;
  isDropped: boolean;
  answer: (answer: OutputAnswer) => void;
  waiters: { readonly seq: number; readonly resolve: () => void; readonly reject: (error: Error) => void }[];
}

/** What the receiver works with. */
export interface OutputReceiverOptions {
  readonly store: HubStore;
  readonly files: OutputFiles;
  readonly wake: Wake;
  readonly onError: (error: unknown, source: OutputSource) => void;
}

/** Makes the receiver of a hub. */
export function createOutputReceiver(options: OutputReceiverOptions): OutputReceiver {
  const { store, files, wake } = options;
  const sinks = new Map<string, Promise<Sink | undefined>>();
  const roomWaiters: (() => void)[] = [];
  const running = new Set<Promise<void>>();
  let uncommittedBytes = 0;

  const settle = (bytes: number): void => {
    uncommittedBytes -= bytes;
    if (uncommittedBytes < MAX_UNCOMMITTED_BYTES) for (const resolve of roomWaiters.splice(0)) resolve();
  };
  const own = (work: Promise<void>): void => {
    running.add(work);
    void work.finally(() => running.delete(work));
  };
  const sinkOf = (source: OutputSource): Promise<Sink | undefined> => {
    const key = sinkKey(source.taskId, source.attempt);
    const present = sinks.get(key);
    if (present !== undefined) return present;
    const opened = openSink(store, source);
    sinks.set(key, opened);
    const forgetUnusable = (sink: Sink | undefined): void => {
      if (sink === undefined && sinks.get(key) === opened) sinks.delete(key);
    };
    opened.then(forgetUnusable, () => forgetUnusable(undefined));
    return opened;
  };
  const dropSink = (sink: Sink, reason: string): void => {
    sink.isDropped = true;
    settle(sizeOf(sink.pending));
    sink.pending = [];
    const error = new CortexError("UNAVAILABLE", reason);
    for (const waiter of sink.waiters.splice(0)) waiter.reject(error);
  };

  const commitBatch = async (sink: Sink, batch: readonly OutputPiece[]): Promise<void> => {
    const { taskId, attempt } = sink.source;
    const planned = planEvents(batch, sink.output);
    for (const write of planned.writes) await files.append(taskId, write.stream, write);
    const originSeq = batch.at(-1)?.seq ?? sink.output.originSeq;
    const next = { ...sink.output, ...planned.sizes, attempt, originSeq };
    await store.transaction(async (tx) => {
      await tx.events.append(taskId, planned.events);
      await tx.events.setOutput(next);
    });
    sink.output = { ...next, lastSeq: sink.output.lastSeq };
    wake.wake(`task:${taskId}`);
    sink.answer({ ...sink.source, throughSeq: originSeq, resend: false, refused: false });
    const isDue = (waiter: { readonly seq: number }): boolean => waiter.seq <= originSeq;
    for (const waiter of sink.waiters.filter(isDue)) waiter.resolve();
    sink.waiters = sink.waiters.filter((waiter) => !isDue(waiter));
  };
  const flush = async (sink: Sink): Promise<void> => {
    if (sink.flushing) return;
    sink.flushing = true;
    try {
      while (sink.pending.length > 0 && !sink.isDropped) {
        const batch = takeBatch(sink.pending);
        try {
          await commitBatch(sink, batch);
        } finally {
          settle(sizeOf(batch));
        }
      }
    } catch (error) {
      // The node still holds what was not acknowledged and sends it again on its next connection.
      sinks.delete(sinkKey(sink.source.taskId, sink.source.attempt));
      dropSink(sink, "output could not be committed");
      options.onError(error, sink.source);
    } finally {
      sink.flushing = false;
    }
  };
  const take = async (source: OutputSource, piece: OutputPiece, answer: (answer: OutputAnswer) => void): Promise<void> => {
    const sink = await sinkOf(source);
    if (sink === undefined || sink.isDropped) {
      settle(piece.bytes.byteLength);
      if (sink === undefined) answer({ ...source, throughSeq: 0, resend: false, refused: true });
      return;
    }
    sink.answer = answer;
    const verdict = sink.window.accept(piece.seq);
    if (verdict === "accept") {
      sink.pending.push(piece);
      await flush(sink);
      return;
    }
    settle(piece.bytes.byteLength);
    // A repeat is answered again: the first answer may have been lost with its connection.
    answer({ ...source, throughSeq: sink.output.originSeq, resend: verdict === "gap", refused: false });
  };

  return {
    receive(source, piece, answer) {
      uncommittedBytes += piece.bytes.byteLength;
      own(
        take(source, piece, answer).catch((error: unknown) => {
          settle(piece.bytes.byteLength);
          options.onError(error, source);
        }),
      );
    },
    async room() {
      while (uncommittedBytes >= MAX_UNCOMMITTED_BYTES) await new Promise<void>((resolve) => roomWaiters.push(resolve));
    },
    async committed(source, seq) {
      if (seq === 0) return;
      const sink = await sinkOf(source);
      if (sink === undefined || sink.isDropped) throw new CortexError("UNAVAILABLE", "the attempt's log is not taken");
      if (sink.output.originSeq >= seq) return;
      await new Promise<void>((resolve, reject) => sink.waiters.push({ seq, resolve, reject }));
    },
    drop(taskId, attempt) {
      const key = sinkKey(taskId, attempt);
      const sink = sinks.get(key);
      sinks.delete(key);
      own((sink ?? Promise.resolve(undefined)).then((opened) => opened && dropSink(opened, "the attempt is over"), () => undefined));
      own(files.release(taskId).catch((error: unknown) => options.onError(error, { taskId, attempt, nodeId: "" as NodeId })));
    },
    get uncommittedBytes() {
      return uncommittedBytes;
    },
    async close() {
      while (running.size > 0) await Promise.all(running);
      await files.close();
    },
  };
}

function sinkKey(taskId: TaskId, attempt: number): string {
  return `${taskId}.${attempt}`;
}

/** Opens the log of an attempt that may still report; `undefined` when the hub does not want it. */
async function openSink(store: HubStore, source: OutputSource): Promise<Sink | undefined> {
  const task = await store.tasks.get(systemScope, source.taskId);
  const output = await store.events.output(systemScope, source.taskId);
  if (task === undefined || output === undefined || !mayReport(task, source)) return undefined;
  const through = output.attempt === source.attempt ? output.originSeq : 0;
  const current = { ...output, attempt: source.attempt, originSeq: through };
  const window = createReceiveWindow({ afterSeq: through });
  return { source, window, output: current, pending: [], flushing: false, isDropped: false, answer: () => undefined, waiters: [] };
}

function mayReport(task: TaskRecord, source: OutputSource): boolean {
  if (task.attempt !== source.attempt || task.nodeId !== source.nodeId) return false;
  return !isFinal(task.state) || (task.state === "indeterminate" && task.cause === "node_lost");
}

function sizeOf(pieces: readonly OutputPiece[]): number {
  return pieces.reduce((sum, piece) => sum + piece.bytes.byteLength, 0);
}

/** Takes pieces off the front, up to the size of one commit. */
function takeBatch(pending: OutputPiece[]): OutputPiece[] {
  let bytes = 0;
  let count = 0;
  for (const piece of pending) {
    if (count > 0 && bytes + piece.bytes.byteLength > MAX_COMMIT_BYTES) break;
    bytes += piece.bytes.byteLength;
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
}

/** Turns records into events with offsets, and into one write a stream. Pure. */
export function planEvents(pieces: readonly OutputPiece[], from: { readonly stdoutBytes: number; readonly stderrBytes: number }): Plan {
  const end = { stdout: from.stdoutBytes, stderr: from.stderrBytes };
  const writes = new Map<OutputStream, PlannedWrite>();
  const events: NewTaskEvent[] = [];
  for (const { kind, atMs, bytes, data } of pieces) {
    if (kind !== "stdout" && kind !== "stderr") {
      events.push({ kind, atMs, data, offset: 0, length: 0 });
      continue;
    }
    const write = writes.get(kind) ?? { stream: kind, offset: end[kind], chunks: [] };
    writes.set(kind, write);
    write.chunks.push(bytes);
    const last = events.at(-1);
    if (last?.kind === kind && last.length + bytes.byteLength <= MAX_EVENT_BYTES) {
      events[events.length - 1] = { ...last, length: last.length + bytes.byteLength };
    } else {
      events.push({ kind, atMs, data: null, offset: end[kind], length: bytes.byteLength });
    }
    end[kind] += bytes.byteLength;
  }
  return { events, writes: [...writes.values()], sizes: { stdoutBytes: end.stdout, stderrBytes: end.stderr } };
}
