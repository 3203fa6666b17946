/**
 * Standard input on its way to a process: in order, at most one piece of a task on the wire, handed on when the process
 * has taken the piece before. A reconnect sends the piece again from where the node says it is.
 *
 * - I1 only the node that holds the attempt says how far its process has read.
 * - I2 input that was given to an attempt is never given to another one: its writer is told.
 * - I3 a body of any length streams through `MAX_PENDING_INPUT_BYTES`: the hub reads on when the process has read. A process
 *   that does not read holds its writer up, not the hub.
 * - I4 nobody waits without bound, for a node ({@link INPUT_WAIT_MS}) or a process ({@link INPUT_STALL_MS}). A writer that gives
 *   up is told how many of its bytes count as taken: they reach the process before whatever comes next, as long as the attempt
 *   and this hub live.
 * - I5 what a hub that stops had on its way to a process that did not read is gone. A writer that names its offset is told
 *   where to go on, so that no byte is missed or given twice.
 */
import {
  type Clock,
  CortexError,
  isCortexError,
  MAX_PENDING_INPUT_BYTES,
  systemClock,
  type TaskId,
} from "@cortex-mesh/protocol";
import type { NodeConnections } from "../nodes/connections.js";
import type { TaskRecord } from "../store/records.js";
import type { Wake } from "../wake/wake.js";
import {
  createInputChannel,
  type InputChannel,
  type InputPosition,
  type InputSource,
  isSameAttempt,
  isWireTaken,
  putOnWire,
  sendWire,
  takeBackUnsent,
} from "./input-channel.js";
import { assertHeld, hasEnded, running, turnInTime, type Writer, whileHeld } from "./input-holder.js";
import { untilAborted } from "./input-wait.js";

/** One piece on the wire: a quarter of what may be under way, so that control frames behind it do not wait. */
const INPUT_PIECE_BYTES = MAX_PENDING_INPUT_BYTES / 4;

/** What is to be written. */
export interface InputBody {
  readonly data: AsyncIterable<Uint8Array>;
  /** Closes standard input behind the bytes. */
  readonly eof: boolean;
  /** Where the first byte goes, counted from the start of the attempt. @default behind what was given before */
  readonly offset?: number | undefined;
  /** Ends the writing at once. */
  readonly signal?: AbortSignal | undefined;
}

/** Hands input to running tasks. */
export interface InputRelay {
  /**
   * Resolves with the bytes that the process took.
   *
   * @throws CortexError `UNAVAILABLE` when no node runs the task for {@link INPUT_WAIT_MS}, its process takes nothing for
   * {@link INPUT_STALL_MS}, or the attempt was lost; `ALREADY_ENDED` when the task, or its input, ended first;
   * `PRECONDITION_FAILED`, with the right `details.offset`, when the input is not where the body was said to go. `details.acceptedBytes` says behind which byte of the body to go on.
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
    return { channel, release: await turnInTime(writer, channel) };
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
        if (await hasEnded(options.current, taskId)) end(taskId);
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

async function writeAll(writer: Writer, channel: InputChannel, { data, eof, offset }: InputBody): Promise<number> {
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
    if (offset !== undefined) await assertOffset(writer, channel, offset);
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
    if (channel.over.signal.aborted && writer.signal?.aborted !== true) await assertHeld(writer, channel);
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

/** Sends what is on the wire, again over each new connection, until the process took it. */
async function settle(writer: Writer, channel: InputChannel): Promise<void> {
  const { taskId, attempt } = channel;
  await whileHeld(writer, channel, {
    isDone: () => isWireTaken(channel),
    onReached: (connection) => sendWire(channel, (piece) => connection.sendInput({ taskId, attempt, ...piece })),
  });
  channel.wire = undefined;
}

/** A writer that names where it goes on is right, or told: only the node that is there knows how far its process has read. */
async function assertOffset(writer: Writer, channel: InputChannel, offset: number): Promise<void> {
  let isReached = false;
  await whileHeld(writer, channel, {
    isDone: () => isReached,
    onReached() {
      isReached = true;
    },
  });
  const { taskId, takenBytes } = channel;
  if (takenBytes === offset) return;
  const message = `standard input of task ${taskId} is at byte ${takenBytes}, not at ${offset}; go on there`;
  throw new CortexError("PRECONDITION_FAILED", message, { details: { offset: takenBytes } });
}
