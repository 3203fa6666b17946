/**
 * One connection of a node as the hub sees it: its control stream with numbered frames, its fence, its figures.
 *
 * - C1 frames up are numbered from 1 without gaps: a repeat is dropped, a hole closes the connection.
 * - C2 nothing is dispatched before the hello is handled.
 * - C3 `close` is final and idempotent; whoever waits for the end is told once.
 * - C4 a node that is sent away in order (goodbye, superseded) hears why: its control stream ends last.
 */
import type { CortexError, NodeId, UserId } from "@cortex-mesh/protocol";
import type { InputPiece, NodeConnection, NodeUsage } from "../nodes/connection.js";
import type { TaskRecord } from "../store/records.js";
import { type ConnectionStreams, createConnectionStreams } from "./connection-streams.js";

/** What is fixed when a node registers. */
export interface ConnectionIdentity {
  readonly nodeId: NodeId;
  readonly ownerId: UserId;
  readonly epoch: number;
  readonly bootId: string;
  /** 16 bytes; every grant of this connection repeats it. */
  readonly sessionNonce: Uint8Array;
  readonly connectedAtMs: number;
  readonly maxTasks: number;
}

/** A connection with what only `link/` does with it. */
export interface HubConnection
  extends NodeConnection,
    Pick<ConnectionStreams, "attachTasks" | "attachLink" | "send" | "drained"> {
  readonly sessionNonce: Uint8Array;
  /** Frames sent and received on the control stream. */
  readonly controlSentSeq: number;
  readonly controlReceivedSeq: number;
  /** A frame is being handled: what came behind it is not counted as received yet. */
  readonly isHandling: boolean;
  readonly isClosed: boolean;
  markReady(noteTask: (task: TaskRecord) => void): void;
  markDraining(): void;
  setUsage(usage: NodeUsage, roundTripMs: number | undefined): void;
  /** Closes it with a goodbye that says when to come back. */
  dismiss(reconnectAfterMs: number, reason: CortexError): void;
  /** The node said goodbye: its end is not a loss. */
  isGoodbye: boolean;
  readonly closed: Promise<CortexError>;
}

/** What changes in the life of a connection. */
interface ConnectionState {
  noteTask: ((task: TaskRecord) => void) | undefined;
  isDraining: boolean;
  usage: NodeUsage | undefined;
  roundTripMs: number | undefined;
}

/** Makes the connection of a node that registered. */
export function createHubConnection(identity: ConnectionIdentity): HubConnection {
  const streams = createConnectionStreams(identity.epoch);
  const state: ConnectionState = { noteTask: undefined, isDraining: false, usage: undefined, roundTripMs: undefined };
  const { send } = streams;
  return {
    ...identity,
    ...says(send, state),
    isGoodbye: false,
    closed: streams.closed,
    close: (reason) => streams.close(reason),
    send,
    attachTasks: streams.attachTasks,
    attachLink: streams.attachLink,
    drained: streams.drained,
    get isReady() {
      return state.noteTask !== undefined && !streams.isClosed;
    },
    get isClosed() {
      return streams.isClosed;
    },
    get isHandling() {
      return streams.isHandling;
    },
    get isDraining() {
      return state.isDraining;
    },
    get usage() {
      return state.usage;
    },
    get roundTripMs() {
      return state.roundTripMs;
    },
    get controlSentSeq() {
      return streams.sentSeq;
    },
    get controlReceivedSeq() {
      return streams.receivedSeq;
    },
    dismiss(reconnectAfterMs, reason) {
      send({ case: "goodbye", value: { reason: reason.message, reconnectAfterMs } });
      streams.close(reason, true);
    },
    markReady(note) {
      state.noteTask = note;
    },
    markDraining() {
      state.isDraining = true;
    },
    setUsage(usage, roundTripMs) {
      Object.assign(state, { usage, roundTripMs });
    },
  };
}

/** What the rooms above the wire say to a node. */
function says(
  send: HubConnection["send"],
  state: ConnectionState,
): Pick<NodeConnection, "noteTask" | "sendInput" | "sendResize" | "requestDrain"> {
  return {
    noteTask: (task) => state.noteTask?.(task),
    sendInput: ({ taskId, attempt, offset, data, eof }: InputPiece) =>
      send({ case: "input", value: { taskId, attempt, offset: BigInt(offset), data, eof } }),
    sendResize: ({ taskId, attempt }, size) => send({ case: "resize", value: { taskId, attempt, size: { ...size } } }),
    requestDrain(graceMs) {
      state.isDraining = true;
      send({ case: "drain", value: { graceMs } });
    },
  };
}
