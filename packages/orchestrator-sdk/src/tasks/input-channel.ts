/** Standard input of one attempt: how far the process has read, what is on the wire, and whose turn it is to write. */
import { CortexError, type NodeId, type TaskId } from "@cortex-mesh/protocol";
import type { TaskRecord } from "../store/records.js";
import { untilAborted } from "./input-wait.js";

/** Writers of one task that wait for their turn; each holds a request open. */
export const MAX_INPUT_WRITERS = 16;

/** Names an attempt and the node that says something about it. */
export interface InputSource {
  readonly taskId: TaskId;
  readonly attempt: number;
  readonly nodeId: NodeId;
}

/** How far a process has read its input. */
export interface InputPosition {
  readonly offset: number;
  /** It takes no more. */
  readonly isClosed: boolean;
}

/** A piece that the process has not taken. */
export interface WirePiece {
  readonly offset: number;
  readonly data: Uint8Array;
  readonly eof: boolean;
}

/** The input of one attempt. */
export interface InputChannel extends InputSource {
  takenBytes: number;
  isClosed: boolean;
  /** It stays when its writer gave up after it was sent: the node may have it, so it comes before everything else. */
  wire: WirePiece | undefined;
  isWireSent: boolean;
  /** Resolves when the writers before are done. */
  tail: Promise<void>;
  writerCount: number;
  /** Whether the node was there at the last look, and until when, in monotonic time. */
  isReached: boolean;
  reachedAtMs: number | undefined;
  /** Told when the position changed. */
  onMoved: () => void;
  /** Aborted when the attempt is over. */
  readonly over: AbortController;
}

/** Makes the channel of an attempt whose process has read `takenBytes`. */
export function createInputChannel({ taskId, attempt, nodeId }: InputSource, takenBytes = 0): InputChannel {
  return {
    taskId,
    attempt,
    nodeId,
    takenBytes,
    isClosed: false,
    wire: undefined,
    isWireSent: false,
    tail: Promise.resolve(),
    writerCount: 0,
    isReached: false,
    reachedAtMs: undefined,
    onMoved: () => undefined,
    over: new AbortController(),
  };
}

/** Whether the attempt of the channel is this one. */
export function isSameAttempt(channel: InputSource | undefined, source: InputSource): channel is InputSource {
  return channel?.attempt === source.attempt && channel.nodeId === source.nodeId;
}

/** The attempt of a task that a node holds. */
export function attemptOf({ taskId, attempt, nodeId }: TaskRecord): InputSource | undefined {
  return nodeId === undefined ? undefined : { taskId, attempt, nodeId };
}

/** Whether the process has what is on the wire; one that closed its input has the end of it. */
export function isWireTaken({ wire, isWireSent, takenBytes, isClosed }: InputChannel): boolean {
  if (wire === undefined) return true;
  return (wire.eof && isClosed) || (isWireSent && !wire.eof && takenBytes >= wire.offset + wire.data.byteLength);
}

/** Puts a piece behind what the process has taken. */
export function putOnWire(channel: InputChannel, data: Uint8Array, eof: boolean): void {
  channel.wire = { offset: channel.takenBytes, data, eof };
  channel.isWireSent = false;
}

/** What of the piece on the wire the process still lacks, to be sent now. */
export function sendWire(channel: InputChannel, send: (piece: WirePiece) => void): void {
  const { wire, isWireSent, takenBytes } = channel;
  if (wire === undefined) return;
  // Only the node knows where its process is: a hub that started again learns it between the two.
  const offset = isWireSent ? wire.offset : takenBytes;
  channel.wire = { ...wire, offset };
  channel.isWireSent = true;
  const skipBytes = Math.min(takenBytes - offset, wire.data.byteLength);
  send({ offset: offset + skipBytes, data: wire.data.subarray(skipBytes), eof: wire.eof });
}

/** The writer gave up: what no node can have is taken back. Whether a piece stays on the wire. */
export function takeBackUnsent(channel: InputChannel): boolean {
  if (!channel.isWireSent) channel.wire = undefined;
  return channel.wire !== undefined;
}

/**
 * Waits for the writers before. Call the result when done.
 *
 * @throws CortexError `QUOTA_EXCEEDED` when too many wait; what aborted one of the signals
 */
export async function takeTurn(
  channel: InputChannel,
  signals: readonly (AbortSignal | undefined)[],
): Promise<() => void> {
  if (channel.writerCount >= MAX_INPUT_WRITERS)
    throw new CortexError(
      "QUOTA_EXCEEDED",
      `${MAX_INPUT_WRITERS} writers wait to give input to task ${channel.taskId}`,
    );
  const before = channel.tail;
  let settle = (): void => undefined;
  channel.tail = new Promise((resolve) => {
    settle = resolve;
  });
  channel.writerCount += 1;
  const release = (): void => {
    channel.writerCount -= 1;
    settle();
  };
  try {
    await untilAborted(before, signals);
  } catch (error) {
    // Who comes behind still waits for those before.
    void before.then(release);
    throw error;
  }
  return release;
}
