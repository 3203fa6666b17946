/** Standard input of one attempt: how far the process has read, what is on the wire, and whose turn it is to write. */
import type { NodeId, TaskId } from "@cortex-mesh/protocol";
import type { TaskRecord } from "../store/records.js";

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

/** A piece that the node may have and that the process has not taken. */
export interface WirePiece {
  readonly offset: number;
  readonly data: Uint8Array;
  readonly eof: boolean;
}

/** The input of one attempt. */
export interface InputChannel extends InputSource {
  takenBytes: number;
  isClosed: boolean;
  /** It stays when its writer gave up: the node may have it, so it comes before everything else. */
  wire: WirePiece | undefined;
  /** Resolves when the writers before are done. */
  tail: Promise<void>;
  /** Told when the position changed. */
  onMoved: () => void;
}

/** Makes the channel of an attempt whose process has read `takenBytes`. */
export function createInputChannel({ taskId, attempt, nodeId }: InputSource, takenBytes = 0): InputChannel {
  const onMoved = (): void => undefined;
  return { taskId, attempt, nodeId, takenBytes, isClosed: false, wire: undefined, tail: Promise.resolve(), onMoved };
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
export function isWireTaken({ wire, takenBytes, isClosed }: InputChannel): boolean {
  if (wire === undefined) return true;
  return (wire.eof && isClosed) || (!wire.eof && takenBytes >= wire.offset + wire.data.byteLength);
}

/** What of the piece on the wire the process still lacks. */
export function restOfWire(wire: WirePiece, takenBytes: number): WirePiece {
  const skipBytes = Math.min(Math.max(0, takenBytes - wire.offset), wire.data.byteLength);
  return { offset: wire.offset + skipBytes, data: wire.data.subarray(skipBytes), eof: wire.eof };
}

/** Waits for the writers before. Call the result when done. */
export async function takeTurn(channel: InputChannel): Promise<() => void> {
  const before = channel.tail;
  let release = (): void => undefined;
  channel.tail = new Promise((resolve) => {
    release = resolve;
  });
  await before;
  return release;
}
