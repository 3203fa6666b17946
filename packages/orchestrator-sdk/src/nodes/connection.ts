/**
 * What the rooms above the wire know of a connected node: its identity, its fence, and the few things to say to it.
 * `link/` implements it over streams; tests over memory.
 */
import type { CortexError, NodeId, TaskId, UserId } from "@cortex-mesh/protocol";
import type { TaskRecord } from "../store/records.js";

/** Figures of the newest heartbeat. Ratios are 0 to 1. */
export interface NodeUsage {
  readonly cpuRatio: number;
  readonly memoryRatio: number;
  readonly memoryFreeBytes: number;
  readonly loadAverage: number;
  readonly diskFreeBytes: number;
  readonly diskRatio: number;
  readonly runningTasks: number;
  readonly queuedTasks: number;
  readonly processRssBytes: number;
}

/** Bytes for the standard input of an attempt. */
export interface InputPiece {
  readonly taskId: TaskId;
  readonly attempt: number;
  /** Position of the first byte in the attempt's input. */
  readonly offset: number;
  readonly data: Uint8Array;
  readonly eof: boolean;
}

/** One live connection of a node. A newer connection of the same node has a higher epoch and replaces it. */
export interface NodeConnection {
  readonly nodeId: NodeId;
  readonly ownerId: UserId;
  readonly epoch: number;
  readonly bootId: string;
  readonly connectedAtMs: number;
  readonly maxTasks: number;
  /** The hello is handled: tasks may be leased to it. */
  readonly isReady: boolean;
  readonly isDraining: boolean;
  readonly usage: NodeUsage | undefined;
  readonly roundTripMs: number | undefined;
  /** A task of this node changed: look whether something is to be sent. */
  noteTask(task: TaskRecord): void;
  /** Sends bytes for standard input. */
  sendInput(piece: InputPiece): void;
  /** Sends the new size of a terminal. */
  sendResize(
    task: { readonly taskId: TaskId; readonly attempt: number },
    size: { readonly columns: number; readonly rows: number },
  ): void;
  /** Asks the node to take nothing new and to end; from now on it gets nothing. */
  requestDrain(graceMs: number): void;
  /** Ends it; the node hears the reason. Idempotent. */
  close(reason: CortexError): void;
}
