/**
 * Standard input on its way to a process: in order, at most one piece of a task on the wire, handed on when the process
 * has taken the piece before. A reconnect sends the piece again from where the node says it is.
 */
import { CortexError, type TaskId } from "@cortex-mesh/protocol";
import type { NodeConnections } from "../nodes/connections.js";
import type { TaskRecord } from "../store/records.js";
import type { Wake } from "../wake/wake.js";
import { isFinal } from "./machine.js";

/** One piece on the wire: small enough that control frames behind it do not wait. */
const INPUT_PIECE_BYTES = 64 * 1024;

/** Hands input to running tasks. */
export interface InputRelay {
  /** Resolves with the bytes that the process took; rejects when the task ended first. */
  write(task: TaskRecord, input: { readonly data: AsyncIterable<Uint8Array>; readonly eof: boolean; readonly signal?: AbortSignal }): Promise<number>;
  /** The node's word on how far the process has read. */
  acked(taskId: TaskId, attempt: number, position: { readonly offset: number; readonly isClosed: boolean }): void;
  /** The task ended: nothing more is kept for it. */
  forget(taskId: TaskId): void;
}

interface Channel {
  readonly attempt: number;
  /** Bytes the process has taken. */
  offset: number;
  isEofTaken: boolean;
  isClosed: boolean;
  /** Callers write one after the other. */
  tail: Promise<void>;
  changed: () => void;
}

/** Makes the relay of a hub. `current` gives the newest committed state of a task. */
export function createInputRelay(options: {
  readonly connections: NodeConnections;
  readonly wake: Wake;
  readonly current: (taskId: TaskId) => Promise<TaskRecord | undefined>;
}): InputRelay {
  const { connections, wake, current } = options;
  const channels = new Map<TaskId, Channel>();

  const channelOf = (task: TaskRecord): Channel => {
    const present = channels.get(task.taskId);
    if (present?.attempt === task.attempt) return present;
    const channel: Channel = {
      attempt: task.attempt,
      offset: 0,
      isEofTaken: false,
      isClosed: false,
      tail: Promise.resolve(),
      changed: () => undefined,
    };
    channels.set(task.taskId, channel);
    return channel;
  };
  /** Waits until the task runs on a connected node; throws when it ended. */
  const running = async (taskId: TaskId, signal: AbortSignal | undefined): Promise<TaskRecord> => {
    for (;;) {
      signal?.throwIfAborted();
      const changed = nextChange({ wake, taskId, signal });
      const task = await current(taskId);
      if (task === undefined || isFinal(task.state)) {
        changed.stop();
        throw new CortexError("ALREADY_ENDED", `task ${taskId} has ended and takes no input`);
      }
      if (task.state === "running" && task.nodeId !== undefined && connections.ready(task.nodeId)?.epoch === task.epoch) {
        changed.stop();
        return task;
      }
      await changed.promise;
    }
  };
  /** Sends one piece, again after each reconnect, until the process took it. */
  const deliver = async (taskId: TaskId, data: Uint8Array, how: { readonly eof: boolean; readonly signal: AbortSignal | undefined }): Promise<void> => {
    let task = await running(taskId, how.signal);
    const target = channelOf(task).offset + data.byteLength;
    let sentOverEpoch = 0;
    for (;;) {
      const channel = channelOf(task);
      if (channel.isClosed) throw new CortexError("ALREADY_ENDED", `task ${taskId} has closed its standard input`);
      const isTaken = how.eof ? channel.isEofTaken : channel.offset >= target;
      if (isTaken) return;
      const rest = data.subarray(data.byteLength - Math.min(data.byteLength, target - channel.offset));
      const changed = nextChange({ wake, taskId, signal: how.signal });
      const acked = new Promise<void>((resolve) => {
        channel.changed = resolve;
      });
      const connection = task.nodeId === undefined ? undefined : connections.ready(task.nodeId);
      if (connection !== undefined && connection.epoch !== sentOverEpoch) {
        sentOverEpoch = connection.epoch;
        connection.sendInput({ taskId, attempt: task.attempt, offset: channel.offset, data: rest, eof: how.eof });
      }
      await Promise.race([acked, changed.promise]);
      changed.stop();
      task = await running(taskId, how.signal);
    }
  };

  return {
    async write(task, input) {
      const first = await running(task.taskId, input.signal);
      const channel = channelOf(first);
      const before = channel.tail;
      let release = (): void => undefined;
      channel.tail = new Promise((resolve) => {
        release = resolve;
      });
      await before;
      try {
        let accepted = 0;
        for await (const chunk of input.data) {
          for (let start = 0; start < chunk.byteLength; start += INPUT_PIECE_BYTES) {
            const piece = chunk.subarray(start, start + INPUT_PIECE_BYTES);
            await deliver(task.taskId, piece, { eof: false, signal: input.signal });
            accepted += piece.byteLength;
          }
        }
        if (input.eof) await deliver(task.taskId, new Uint8Array(0), { eof: true, signal: input.signal });
        return accepted;
      } finally {
        release();
      }
    },
    acked(taskId, attempt, { offset, isClosed }) {
      const channel = channels.get(taskId);
      if (channel?.attempt !== attempt) {
        // After a restart of the hub the node's word is the only one.
        channels.set(taskId, { attempt, offset, isEofTaken: isClosed, isClosed, tail: Promise.resolve(), changed: () => undefined });
        return;
      }
      channel.offset = Math.max(channel.offset, offset);
      if (isClosed) channel.isEofTaken = true;
      channel.isClosed = channel.isClosed || isClosed;
      channel.changed();
    },
    forget: (taskId) => void channels.delete(taskId),
  };
}

/** The next wake-up of a task, or the abort of the caller. */
function nextChange(options: { readonly wake: Wake; readonly taskId: TaskId; readonly signal: AbortSignal | undefined }): { readonly promise: Promise<void>; stop(): void } {
  let stop = (): void => undefined;
  const promise = new Promise<void>((resolve) => {
    const unlisten = options.wake.listen(`task:${options.taskId}`, resolve);
    options.signal?.addEventListener("abort", () => resolve(), { once: true });
    stop = () => {
      unlisten();
      resolve();
    };
  });
  return { promise, stop };
}
