/**
 * Standard input on its way to a process: in order, at most one piece of a task on the wire, handed on when the process
 * has taken the piece before. A reconnect sends the piece again from where the node says it is.
 *
 * - I1 only the node that holds the attempt says how far its process has read.
 * - I2 input that was given to an attempt is never given to another one: its writer is told.
 */
import { CortexError, type TaskId } from "@cortex-mesh/protocol";
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
  restOfWire,
  takeTurn,
} from "./input-channel.js";
import { isFinal } from "./machine.js";

/** One piece on the wire: small enough that control frames behind it do not wait. */
const INPUT_PIECE_BYTES = 64 * 1024;

/** Hands input to running tasks. */
export interface InputRelay {
  /** Resolves with the bytes that the process took; rejects when the task ended first. */
  write(
    task: TaskRecord,
    input: { readonly data: AsyncIterable<Uint8Array>; readonly eof: boolean; readonly signal?: AbortSignal },
  ): Promise<number>;
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
  /** Gives the newest committed state of a task. */
  readonly current: (taskId: TaskId) => Promise<TaskRecord | undefined>;
}

/** Makes the relay of a hub. */
export function createInputRelay(options: InputRelayOptions): InputRelay {
  const channels = new Map<TaskId, InputChannel>();
  const channelOf = (source: InputSource, takenBytes = 0): InputChannel => {
    const present = channels.get(source.taskId);
    if (present !== undefined && isSameAttempt(present, source)) return present;
    const channel = createInputChannel(source, takenBytes);
    channels.set(source.taskId, channel);
    return channel;
  };
  const move = (channel: InputChannel, { offset, isClosed }: InputPosition): void => {
    channel.takenBytes = Math.max(channel.takenBytes, offset);
    channel.isClosed ||= isClosed;
    channel.onMoved();
  };
  return {
    async write(task, { data, eof, signal }) {
      const channel = channelOf(await running(options, task.taskId, signal));
      const release = await takeTurn(channel);
      try {
        // What the writer before left on the wire comes first.
        await settle(options, channel, signal);
        let acceptedBytes = 0;
        const deliver = async (bytes: Uint8Array, isEnd: boolean): Promise<void> => {
          channel.wire = { offset: channel.takenBytes, data: bytes, eof: isEnd };
          await settle(options, channel, signal);
          acceptedBytes += bytes.byteLength;
        };
        for await (const chunk of data) {
          for (let start = 0; start < chunk.byteLength; start += INPUT_PIECE_BYTES) {
            await deliver(chunk.subarray(start, start + INPUT_PIECE_BYTES), false);
          }
        }
        if (eof) await deliver(new Uint8Array(0), true);
        return acceptedBytes;
      } catch (error) {
        if (await hasEnded(options, task.taskId)) channels.delete(task.taskId);
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
    forget: (taskId) => void channels.delete(taskId),
  };
}

/** Waits until the task runs; throws when it ended. */
async function running(
  { wake, current }: InputRelayOptions,
  taskId: TaskId,
  signal: AbortSignal | undefined,
): Promise<InputSource> {
  for (;;) {
    signal?.throwIfAborted();
    const change = nextChange({ wake, topics: [`task:${taskId}`], signal });
    try {
      const task = await current(taskId);
      if (task === undefined || isFinal(task.state)) throw hasEndedError(taskId);
      const attempt = attemptOf(task);
      if (task.state === "running" && attempt !== undefined) return attempt;
      await change.promise;
    } finally {
      change.stop();
    }
  }
}

/** Sends what is on the wire, again over each new connection, until the process took it. */
async function settle(
  options: InputRelayOptions,
  channel: InputChannel,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { taskId, attempt, nodeId } = channel;
  const topics: readonly WakeTopic[] = [`task:${taskId}`, `node:${nodeId}`];
  let sentOverEpoch = 0;
  for (;;) {
    if (isWireTaken(channel)) break;
    if (channel.isClosed) throw new CortexError("ALREADY_ENDED", `task ${taskId} has closed its standard input`);
    signal?.throwIfAborted();
    const change = nextChange({ wake: options.wake, topics, signal });
    channel.onMoved = change.happen;
    try {
      const connection = await holder(options, channel);
      if (isWireTaken(channel) || channel.isClosed || channel.wire === undefined) continue;
      if (connection !== undefined && connection.epoch !== sentOverEpoch) {
        sentOverEpoch = connection.epoch;
        connection.sendInput({ taskId, attempt, ...restOfWire(channel.wire, channel.takenBytes) });
      }
      await change.promise;
    } finally {
      change.stop();
    }
  }
  channel.wire = undefined;
}

/** The connection that holds the attempt, if the node is there. @throws CortexError when the attempt is over */
async function holder(
  { connections, current }: InputRelayOptions,
  channel: InputChannel,
): Promise<NodeConnection | undefined> {
  const task = await current(channel.taskId);
  if (task === undefined || isFinal(task.state)) throw hasEndedError(channel.taskId);
  if (task.attempt !== channel.attempt) {
    throw new CortexError(
      "UNAVAILABLE",
      `the attempt of task ${channel.taskId} that took the input was lost; give it all again`,
    );
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

interface NextChange {
  readonly promise: Promise<void>;
  readonly happen: () => void;
  stop(): void;
}

/** The next wake-up under one of the topics, or the abort of the caller. Listen first, then look. */
function nextChange(options: {
  readonly wake: Wake;
  readonly topics: readonly WakeTopic[];
  readonly signal: AbortSignal | undefined;
}): NextChange {
  const { wake, topics, signal } = options;
  let happen = (): void => undefined;
  const promise = new Promise<void>((resolve) => {
    happen = resolve;
  });
  const unlisten = topics.map((topic) => wake.listen(topic, happen));
  signal?.addEventListener("abort", happen);
  return {
    promise,
    happen,
    stop() {
      for (const end of unlisten) end();
      signal?.removeEventListener("abort", happen);
    },
  };
}
