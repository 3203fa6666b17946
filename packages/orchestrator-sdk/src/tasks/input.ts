/**
 * Standard input on its way to a process: in order, at most one piece of a task on the wire, handed on when the process
 * has taken the piece before. A reconnect sends the piece again from where the node says it is.
 *
 * - I1 only the node that holds the attempt says how far its process has read.
 * - I2 input that was given to an attempt is never given to another one: its writer is told.
 * - I3 a body of any length streams through `MAX_PENDING_INPUT_BYTES`: the hub reads on when the process has read. A process
 *   that does not read holds its writer up, not the hub.
 * - I4 nobody waits without bound for a node: see {@link INPUT_WAIT_MS}. A writer that gives up is told how many of its bytes
 *   count as taken: they reach the process before whatever comes next, as long as the attempt lives.
 */
import {
  type Clock,
  CortexError,
  isCortexError,
  MAX_PENDING_INPUT_BYTES,
  systemClock,
  type TaskId,
} from "@cortex-mesh/protocol";
import type { NodeConnection } from "../nodes/connection.js";
import type { NodeConnections } from "../nodes/connections.js";
import type { TaskRecord } from "../store/records.js";
import type { Wake, WakeTopic } from "../wake/wake.js";
import {
  attemptOf,
  createInputChannel,
  type InputChannel,
  type InputPosition,
  type InputSource,
  isSameAttempt,
  isWireTaken,
  putOnWire,
  restOfWire,
  takeBackUnsent,
  takeTurn,
} from "./input-channel.js";
import { type NextChange, nextChange, untilAborted } from "./input-wait.js";
import { isFinal } from "./machine.js";

/** One piece on the wire: a quarter of what may be under way, so that control frames behind it do not wait. */
const INPUT_PIECE_BYTES = MAX_PENDING_INPUT_BYTES / 4;
/** How long a writer waits while no node runs the task: a reconnect takes less. */
export const INPUT_WAIT_MS = 10_000;

/** What is to be written. */
export interface InputBody {
  readonly data: AsyncIterable<Uint8Array>;
  /** Closes standard input behind the bytes. */
  readonly eof: boolean;
  /** Ends the writing at once. */
  readonly signal?: AbortSignal | undefined;
}

/** Hands input to running tasks. */
export interface InputRelay {
  /**
   * Resolves with the bytes that the process took.
   *
   * @throws CortexError `UNAVAILABLE` when no node runs the task for {@link INPUT_WAIT_MS}, or the attempt was lost;
   * `ALREADY_ENDED` when the task, or its input, ended first. `details.acceptedBytes` says behind which byte to go on.
   */
  write(task: TaskRecord, input: InputBody): Promise<number>;
  /** The node's word on how far the process has read. It counts only about an attempt that this node was given input for. */
  acked(source: InputSource, position: InputPosition): void;
  /** An attempt that was adopted from its node's hello: the process has read so far. */
  restore(source: InputSource, takenBytes: number): void;
  /** The task ended: nothing more is kept for it. */
  forget(taskId: TaskId): void;
}

/** What the relay works with. */
export interface InputRelayOptions {
  readonly connections: NodeConnections;
  readonly wake: Wake;
  /** @default the system's clock */
  readonly clock?: Clock | undefined;
  /** Gives the newest committed state of a task. */
  readonly current: (taskId: TaskId) => Promise<TaskRecord | undefined>;
}

/** One call of {@link InputRelay.write}. */
interface Writer extends Omit<InputRelayOptions, "clock"> {
  readonly clock: Clock;
  readonly signal: AbortSignal | undefined;
  readonly startMs: number;
}

/** Makes the relay of a hub. */
export function createInputRelay(options: InputRelayOptions): InputRelay {
  const { clock = systemClock } = options;
  const channels = new Map<TaskId, InputChannel>();
  const end = (taskId: TaskId): void => {
    channels.get(taskId)?.over.abort();
    channels.delete(taskId);
  };
  const channelOf = (source: InputSource, takenBytes = 0): InputChannel => {
    const present = channels.get(source.taskId);
    if (present !== undefined && isSameAttempt(present, source)) return present;
    end(source.taskId);
    const channel = createInputChannel(source, takenBytes);
    channels.set(source.taskId, channel);
    return channel;
  };
  const move = (channel: InputChannel, { offset, isClosed }: InputPosition): void => {
    channel.takenBytes = Math.max(channel.takenBytes, offset);
    channel.isClosed ||= isClosed;
    channel.onMoved();
  };
  const beginWriting = async (
    writer: Writer,
    taskId: TaskId,
  ): Promise<{ readonly channel: InputChannel; readonly release: () => void }> => {
    const channel = channelOf(await running(writer, taskId));
    return { channel, release: await takeTurn(channel, writer.signal) };
  };
  return {
    async write({ taskId }, body) {
      const writer: Writer = { ...options, clock, signal: body.signal, startMs: clock.monotonicMs() };
      const { channel, release } = await beginWriting(writer, taskId).catch((error: unknown) => {
        throw withPosition(error, 0);
      });
      try {
        return await writeAll(writer, channel, body);
      } catch (error) {
        // The channel may have been made after the end was told.
        if (await hasEnded(options, taskId)) end(taskId);
        throw error;
      } finally {
        release();
      }
    },
    acked(source, position) {
      const channel = channels.get(source.taskId);
      if (channel !== undefined && isSameAttempt(channel, source)) move(channel, position);
    },
    restore: (source, takenBytes) => move(channelOf(source, takenBytes), { offset: takenBytes, isClosed: false }),
    forget: end,
  };
}

async function writeAll(writer: Writer, channel: InputChannel, { data, eof }: InputBody): Promise<number> {
  let acceptedBytes = 0;
  let pieceBytes = 0;
  const deliver = async (bytes: Uint8Array, isEnd: boolean): Promise<void> => {
    pieceBytes = bytes.byteLength;
    putOnWire(channel, bytes, isEnd);
    await settle(writer, channel);
    acceptedBytes += pieceBytes;
    pieceBytes = 0;
  };
  try {
    // What the writer before left on the wire comes first.
    await settle(writer, channel);
    for await (const chunk of readWhileOpen(writer, channel, data)) {
      for (let start = 0; start < chunk.byteLength; start += INPUT_PIECE_BYTES) {
        await deliver(chunk.subarray(start, start + INPUT_PIECE_BYTES), false);
      }
    }
    if (eof) await deliver(new Uint8Array(0), true);
    return acceptedBytes;
  } catch (error) {
    if (takeBackUnsent(channel)) acceptedBytes += pieceBytes;
    throw withPosition(error, acceptedBytes);
  }
}

/** The chunks of a body. A writer that leaves, and an attempt that ends, do not wait for the next one. */
async function* readWhileOpen(
  writer: Writer,
  channel: InputChannel,
  data: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const iterator = data[Symbol.asyncIterator]();
  let isOver = false;
  try {
    for (;;) {
      const next = await untilAborted(iterator.next(), [writer.signal, channel.over.signal]);
      if (next.done === true) {
        isOver = true;
        return;
      }
      yield next.value;
    }
  } catch (error) {
    // The body does not say what became of the attempt; its record does.
    if (channel.over.signal.aborted && writer.signal?.aborted !== true) await holder(writer, channel);
    throw error;
  } finally {
    // Its end is not waited for: it may be stuck in the very read that was given up, and then fails for nobody.
    if (!isOver) iterator.return?.().catch(() => undefined);
  }
}

function withPosition(error: unknown, acceptedBytes: number): unknown {
  if (!isCortexError(error) || error.details["acceptedBytes"] !== undefined) return error;
  const details = { ...error.details, acceptedBytes };
  return new CortexError(error.code, error.message, { details, cause: error });
}

/** Waits until the task runs; throws when it ended, or no node runs it in time. */
async function running(writer: Writer, taskId: TaskId): Promise<InputSource> {
  const { wake, signal, current } = writer;
  for (;;) {
    signal?.throwIfAborted();
    const change = nextChange({ wake, topics: [`task:${taskId}`], signal });
    try {
      const task = await current(taskId);
      if (task === undefined || isFinal(task.state)) throw hasEndedError(taskId);
      const attempt = attemptOf(task);
      if (task.state === "running" && attempt !== undefined) return attempt;
      await changeInTime(writer, { taskId, change, sinceMs: writer.startMs });
    } finally {
      change.stop();
    }
  }
}

/** Sends what is on the wire, again over each new connection, until the process took it. */
async function settle(writer: Writer, channel: InputChannel): Promise<void> {
  const { taskId, attempt, nodeId } = channel;
  const { wake, signal } = writer;
  const topics: readonly WakeTopic[] = [`task:${taskId}`, `node:${nodeId}`];
  let sentOverEpoch = 0;
  for (;;) {
    if (isWireTaken(channel)) break;
    if (channel.isClosed) throw new CortexError("ALREADY_ENDED", `task ${taskId} has closed its standard input`);
    signal?.throwIfAborted();
    const change = nextChange({ wake, topics, signal });
    channel.onMoved = change.happen;
    try {
      const connection = await holder(writer, channel);
      if (isWireTaken(channel) || channel.isClosed || channel.wire === undefined) continue;
      const sinceMs = noteReach(writer, channel, connection !== undefined);
      if (connection === undefined) {
        await changeInTime(writer, { taskId, change, sinceMs });
        continue;
      }
      if (connection.epoch !== sentOverEpoch) {
        sentOverEpoch = connection.epoch;
        channel.isWireSent = true;
        connection.sendInput({ taskId, attempt, ...restOfWire(channel.wire, channel.takenBytes) });
      }
      await change.promise;
    } finally {
      change.stop();
    }
  }
  channel.wire = undefined;
}

/** Notes whether the node is there; gives the time from which its absence counts for this writer. */
function noteReach({ clock, startMs }: Writer, channel: InputChannel, isThere: boolean): number {
  if (isThere || channel.isReached) channel.reachedAtMs = clock.monotonicMs();
  channel.isReached = isThere;
  return Math.max(startMs, channel.reachedAtMs ?? startMs);
}

/** Waits for a change, as long as a writer waits without a node. */
async function changeInTime(
  { clock }: Writer,
  wait: { readonly taskId: TaskId; readonly change: NextChange; readonly sinceMs: number },
): Promise<void> {
  const leftMs = wait.sinceMs + INPUT_WAIT_MS - clock.monotonicMs();
  if (leftMs <= 0) {
    const message = `no node runs task ${wait.taskId} right now; what was not taken can be given again later`;
    throw new CortexError("UNAVAILABLE", message);
  }
  const timer = clock.setTimer(wait.change.happen, leftMs);
  await wait.change.promise;
  timer.cancel();
}

/** The connection that holds the attempt, if the node is there. @throws CortexError when the attempt is over */
async function holder(
  { connections, current }: Pick<Writer, "connections" | "current">,
  channel: InputChannel,
): Promise<NodeConnection | undefined> {
  const task = await current(channel.taskId);
  if (task === undefined || isFinal(task.state)) throw hasEndedError(channel.taskId);
  if (task.attempt !== channel.attempt || task.nodeId !== channel.nodeId) {
    const message = `the attempt of task ${channel.taskId} that took the input was lost; give it all again`;
    throw new CortexError("UNAVAILABLE", message, { details: { acceptedBytes: 0 } });
  }
  const connection = connections.get(channel.nodeId);
  return task.state === "running" && connection?.isReady === true && connection.epoch === task.epoch
    ? connection
    : undefined;
}

async function hasEnded({ current }: InputRelayOptions, taskId: TaskId): Promise<boolean> {
  const task = await current(taskId).catch(() => undefined);
  return task === undefined || isFinal(task.state);
}

function hasEndedError(taskId: TaskId): CortexError {
  return new CortexError("ALREADY_ENDED", `task ${taskId} has ended and takes no input`);
}
