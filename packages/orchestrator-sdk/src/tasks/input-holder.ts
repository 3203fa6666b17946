/** A writer of input waits for its turn, a node and the process: always bounded, and over when the attempt is. */
import { type Clock, CortexError, type TaskId } from "@cortex-mesh/protocol";
import type { NodeConnection } from "../nodes/connection.js";
import type { NodeConnections } from "../nodes/connections.js";
import type { TaskRecord } from "../store/records.js";
import type { Wake, WakeTopic } from "../wake/wake.js";
import { attemptOf, type InputChannel, type InputSource, takeTurn } from "./input-channel.js";
import { type NextChange, nextChange } from "./input-wait.js";
import { isFinal } from "./machine.js";

/** How long a writer waits while no node runs the task: a reconnect takes less. */
export const INPUT_WAIT_MS = 10_000;
/**
 * How long a writer waits for its turn, or for a process that takes nothing. The wait for a node and three of these (the turn,
 * what the writer before left, its own bytes) are less than the 300 s that HTTP clients wait for an answer.
 */
export const INPUT_STALL_MS = 90_000;

/** One who writes input, and what it waits with. */
export interface Writer {
  readonly connections: NodeConnections;
  readonly wake: Wake;
  readonly clock: Clock;
  /** Gives the newest committed state of a task. */
  readonly current: (taskId: TaskId) => Promise<TaskRecord | undefined>;
  readonly signal: AbortSignal | undefined;
  /** When it began, in monotonic time. */
  readonly startMs: number;
}

/** Waits until the task runs. @throws CortexError when it ended, or no node runs it in time */
export async function running(writer: Writer, taskId: TaskId): Promise<InputSource> {
  const { wake, signal, current } = writer;
  for (;;) {
    signal?.throwIfAborted();
    const change = nextChange({ wake, topics: [`task:${taskId}`], signal });
    try {
      const task = await current(taskId);
      if (task === undefined || isFinal(task.state)) throw hasEndedError(taskId);
      const attempt = attemptOf(task);
      if (task.state === "running" && attempt !== undefined) return attempt;
      await changeInTime(writer, { change, untilMs: writer.startMs + INPUT_WAIT_MS, late: () => noNode(taskId) });
    } finally {
      change.stop();
    }
  }
}

/**
 * Waits until something is done while a node holds the attempt; `onReached` is called once for each of its connections.
 *
 * @throws CortexError `UNAVAILABLE` when the node is away for too long, the process takes nothing for too long, or the attempt was
 * lost; `ALREADY_ENDED` when the task or its input ended first
 */
export async function whileHeld(
  writer: Writer,
  channel: InputChannel,
  { isDone, onReached }: { readonly isDone: () => boolean; readonly onReached: (connection: NodeConnection) => void },
): Promise<void> {
  const { taskId, nodeId } = channel;
  const { clock, wake, signal } = writer;
  const topics: readonly WakeTopic[] = [`task:${taskId}`, `node:${nodeId}`];
  let reachedEpoch = 0;
  let takenBytes = -1;
  let movedAtMs = 0;
  while (!isDone()) {
    if (channel.takenBytes !== takenBytes) movedAtMs = clock.monotonicMs();
    takenBytes = channel.takenBytes;
    if (channel.isClosed) throw new CortexError("ALREADY_ENDED", `task ${taskId} has closed its standard input`);
    signal?.throwIfAborted();
    const change = nextChange({ wake, topics, signal });
    channel.onMoved = change.happen;
    try {
      const connection = await assertHeld(writer, channel);
      if (isDone() || channel.isClosed) continue;
      const sinceMs = noteReach(writer, channel, connection !== undefined);
      if (connection === undefined) {
        await changeInTime(writer, { change, untilMs: sinceMs + INPUT_WAIT_MS, late: () => noNode(taskId) });
        continue;
      }
      if (connection.epoch !== reachedEpoch) {
        reachedEpoch = connection.epoch;
        onReached(connection);
        if (isDone()) continue;
      }
      await changeInTime(writer, { change, untilMs: movedAtMs + INPUT_STALL_MS, late: () => noReader(taskId) });
    } finally {
      change.stop();
    }
  }
}

/** The turn of a writer, in time. The result gives it to the next one. @throws CortexError `UNAVAILABLE`, `QUOTA_EXCEEDED` */
export async function turnInTime({ clock, signal }: Writer, channel: InputChannel): Promise<() => void> {
  const late = new AbortController();
  const timer = clock.setTimer(() => late.abort(noReader(channel.taskId)), INPUT_STALL_MS);
  try {
    return await takeTurn(channel, [signal, late.signal]);
  } finally {
    timer.cancel();
  }
}

/** Notes whether the node is there; gives the time from which its absence counts for this writer. */
function noteReach({ clock, startMs }: Writer, channel: InputChannel, isThere: boolean): number {
  if (isThere || channel.isReached) channel.reachedAtMs = clock.monotonicMs();
  channel.isReached = isThere;
  return Math.max(startMs, channel.reachedAtMs ?? startMs);
}

/** Waits for a change until a point in monotonic time. @throws what `late` gives, then */
async function changeInTime(
  { clock }: Writer,
  wait: { readonly change: NextChange; readonly untilMs: number; readonly late: () => CortexError },
): Promise<void> {
  const leftMs = wait.untilMs - clock.monotonicMs();
  if (leftMs <= 0) throw wait.late();
  const timer = clock.setTimer(wait.change.happen, leftMs);
  await wait.change.promise;
  timer.cancel();
}

function noNode(taskId: TaskId): CortexError {
  const message = `no node runs task ${taskId} right now; what was not taken can be given again later`;
  return new CortexError("UNAVAILABLE", message);
}

function noReader(taskId: TaskId): CortexError {
  const message = `task ${taskId} takes no input right now; what was not taken can be given again later`;
  return new CortexError("UNAVAILABLE", message);
}

/** The connection that holds the attempt, if the node is there. @throws CortexError when the attempt is over */
export async function assertHeld(
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

/** Whether the task is over, as far as can be told. */
export async function hasEnded(current: Writer["current"], taskId: TaskId): Promise<boolean> {
  // A store that cannot be read does not say that it ended; the wait is bounded anyway.
  const task = await current(taskId).catch(() => undefined);
  return task === undefined || isFinal(task.state);
}

function hasEndedError(taskId: TaskId): CortexError {
  return new CortexError("ALREADY_ENDED", `task ${taskId} has ended and takes no input`);
}
