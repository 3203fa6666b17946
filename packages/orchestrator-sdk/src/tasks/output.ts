/**
 * Takes the output logs of running attempts: bytes into files, offsets and numbers into the store, then the acknowledgement.
 *
 * - O1 a record is acknowledged only after file and row are durable; a crash between them costs nothing, since the node
 *   sends again and the same range is written again.
 * - O2 the node's numbers only acknowledge the hop: the hub numbers events when it commits them.
 * - O3 what waits in memory is bounded over all tasks; beyond that the stream is not read.
 * - O4 only the node that holds the current attempt writes, and one attempt of a task at a time.
 */
import { type Clock, type TaskId, toCortexError } from "@cortex-mesh/protocol";
import { systemScope } from "../access/scope.js";
import type { OutputRecord } from "../store/records.js";
import type { HubStore } from "../store/store.js";
import type { Wake } from "../wake/wake.js";
import { createRoom, createWaiters, type Room, type Waiters } from "./output-bounds.js";
import type { OutputFiles } from "./output-files.js";
import { costOf, type OutputPiece } from "./output-plan.js";
import { createOutputSink, mayReport, type OutputReply, type OutputSink, type OutputSource } from "./output-sink.js";

/** Takes output logs. */
export interface OutputReceiver {
  /** Takes one record. What is to be said about it goes to `reply`. */
  receive(source: OutputSource, piece: OutputPiece, reply: OutputReply): void;
  /** Resolves when there is room for more. */
  room(): Promise<void>;
  /** Resolves when the attempt's log is committed through `seq`: with false when the log is not taken any more. */
  committed(source: OutputSource, seq: number): Promise<boolean>;
  /** Forgets the logs of a task: its attempt ended or was taken from its node, or it was deleted. */
  drop(taskId: TaskId): void;
  readonly uncommittedBytes: number;
  close(): Promise<void>;
}

/** What the receiver works with. */
export interface OutputReceiverOptions {
  readonly store: HubStore;
  readonly files: OutputFiles;
  readonly wake: Wake;
  readonly clock: Clock;
  readonly onError: (error: unknown, source: Pick<OutputSource, "taskId">) => void;
}

/** Makes the receiver of a hub. */
export function createOutputReceiver(options: OutputReceiverOptions): OutputReceiver {
  const { files, onError } = options;
  const room = createRoom();
  const waiters = createWaiters();
  const running = new Set<Promise<unknown>>();
  const own = (work: Promise<unknown>): void => {
    const owned: Promise<unknown> = work.finally(() => running.delete(owned));
    running.add(owned);
  };
  const sinks = createSinks({ ...options, room, waiters, own });
  let isClosed = false;

  const take = async (source: OutputSource, piece: OutputPiece, reply: OutputReply): Promise<void> => {
    let sink: OutputSink | undefined;
    try {
      sink = await sinks.get(source);
      const writing = sink?.take(piece, reply);
      if (writing !== undefined) own(writing);
    } catch (error) {
      // The log could not be opened, or the record has no number.
      room.free(costOf([piece]));
      onError(error, source);
      reply.fail(toCortexError(error, "UNAVAILABLE"));
      return;
    }
    if (sink !== undefined) return;
    room.free(costOf([piece]));
    if (!isClosed) reply.answer({ ...source, throughSeq: 0, resend: false, refused: true });
  };

  return {
    receive(source, piece, reply) {
      if (isClosed) return;
      room.take(costOf([piece]));
      own(take(source, piece, reply));
    },
    room: room.wait,
    async committed(source, seq) {
      if (seq === 0) return true;
      const sink = await sinks.get(source);
      if (sink === undefined || sink.isRefused() || isClosed) return false;
      return sink.throughSeq() >= seq || waiters.wait(keyOf(source), seq);
    },
    drop: sinks.drop,
    get uncommittedBytes() {
      return room.usedBytes;
    },
    async close() {
      isClosed = true;
      waiters.endAll();
      while (running.size > 0) await Promise.all(running);
      await files.close();
    },
  };
}

/** A sink as soon as the store said that the attempt may report. */
type Opening = Promise<OutputSink | undefined>;

interface Sinks {
  /** The sink of an attempt; nothing when the attempt is not the node's to report about. */
  get(source: OutputSource): Opening;
  drop(taskId: TaskId): void;
}

interface SinksOptions extends OutputReceiverOptions {
  readonly room: Room;
  readonly waiters: Waiters;
  readonly own: (work: Promise<unknown>) => void;
}

function createSinks(options: SinksOptions): Sinks {
  const { store, files, waiters, own, onError } = options;
  const sinks = new Map<TaskId, Map<string, Opening>>();
  /** The one sink of a task that may write. */
  const writers = new Map<TaskId, OutputSink>();

  const remove = (source: OutputSource): void => {
    const ofTask = sinks.get(source.taskId);
    ofTask?.delete(keyOf(source));
    if (ofTask?.size === 0) sinks.delete(source.taskId);
  };
  const open = async (source: OutputSource): Promise<OutputSink | undefined> => {
    const { taskId } = source;
    const task = await store.tasks.get(systemScope, taskId);
    if (task === undefined || !mayReport(task, source)) return undefined;
    await writers.get(taskId)?.retire();
    const output = await store.events.output(systemScope, taskId);
    if (output === undefined) return undefined;
    const sink = openSink(options, source, {
      output,
      onGone() {
        if (writers.get(taskId) !== sink) return;
        writers.delete(taskId);
        remove(source);
      },
    });
    writers.set(taskId, sink);
    return sink;
  };
  const dropAll = async (taskId: TaskId, opened: ReadonlyMap<string, Opening>): Promise<void> => {
    for (const [key, opening] of opened) {
      // One that could not be opened has nothing to let go of.
      const sink = await opening.catch(() => undefined);
      const written = sink?.retire();
      waiters.end(key);
      await written;
      if (sink !== undefined && writers.get(taskId) === sink) writers.delete(taskId);
    }
    await files.release(taskId).catch((error: unknown) => onError(error, { taskId }));
  };

  return {
    get(source) {
      const ofTask = sinks.get(source.taskId) ?? new Map<string, Opening>();
      const key = keyOf(source);
      const present = ofTask.get(key);
      if (present !== undefined) return present;
      const opened = open(source);
      sinks.set(source.taskId, ofTask.set(key, opened));
      const forgetUnusable = (sink?: OutputSink): void => {
        if (sink === undefined && sinks.get(source.taskId)?.get(key) === opened) remove(source);
      };
      opened.then(forgetUnusable, () => forgetUnusable());
      return opened;
    },
    drop(taskId) {
      const opened = sinks.get(taskId);
      if (opened === undefined) return;
      sinks.delete(taskId);
      for (const key of opened.keys()) waiters.end(key);
      own(dropAll(taskId, opened));
    },
  };
}

function openSink(
  { store, files, wake, clock, room, waiters, onError }: SinksOptions,
  source: OutputSource,
  { output, onGone }: { readonly output: OutputRecord; readonly onGone: () => void },
): OutputSink {
  const { taskId, attempt } = source;
  const key = keyOf(source);
  const originSeq = output.attempt === attempt ? output.originSeq : 0;
  waiters.settle(key, originSeq);
  return createOutputSink({
    source,
    output: { ...output, attempt, originSeq },
    store,
    files,
    clock,
    onFreed: room.free,
    onCommitted(throughSeq) {
      wake.wake(`task:${taskId}`);
      waiters.settle(key, throughSeq);
    },
    onOver(error) {
      onGone();
      if (error === undefined) waiters.end(key);
      else onError(error, source);
    },
  });
}

function keyOf({ taskId, attempt, nodeId }: OutputSource): string {
  return `${taskId}.${attempt}.${nodeId}`;
}
