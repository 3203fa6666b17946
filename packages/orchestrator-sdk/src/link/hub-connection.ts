/**
 * One connection of a node as the hub sees it: its control stream with numbered frames, its fence, its figures.
 *
 * - C1 frames up are numbered from 1 without gaps: a repeat is dropped, a hole closes the connection.
 * - C2 nothing is dispatched before the hello is handled.
 * - C3 `close` is final and idempotent; whoever waits for the end is told once.
 * - C4 a node that is sent away in order (goodbye, superseded) hears why: its control stream ends last.
 */
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { CortexError, type Link, type NodeId, type UserId } from "@cortex-mesh/protocol";
import { HubTaskFrameSchema, type NodeTaskFrame, NodeTaskFrameSchema } from "@cortex-mesh/protocol/gen";
import { createReceiveWindow } from "@cortex-mesh/protocol/log";
import type { InputPiece, NodeConnection, NodeUsage } from "../nodes/connection.js";
import type { TaskRecord } from "../store/records.js";
import { untilTaken } from "./until-taken.js";
import { readCount, readFrame } from "./wire.js";

/** The body of a frame to the node. */
export type HubFrameBody = NonNullable<MessageInitShape<typeof HubTaskFrameSchema>["body"]>;

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
export interface HubConnection extends NodeConnection {
  readonly sessionNonce: Uint8Array;
  /** Frames sent and received on the control stream. */
  readonly controlSentSeq: number;
  readonly controlReceivedSeq: number;
  /** A frame is being handled: what came behind it is not counted as received yet. */
  readonly isHandling: boolean;
  readonly isClosed: boolean;
  /** Attaches the control stream; frames go to `onFrame` in order, numbered and checked. */
  attachTasks(link: Link, onFrame: (frame: NodeTaskFrame) => void | Promise<void>): void;
  /** Ties another stream's life to the connection's. One of health ends after the control stream, any other at once. */
  attachLink(link: Link, kind: "health" | "data"): void;
  /** @throws CortexError `TOO_LARGE` when the frame is over the limit of a message; nothing was sent then. */
  send(body: HubFrameBody): void;
  /** Resolves when the control stream takes more. */
  drained(): Promise<void>;
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
  const streams = createStreams(identity.epoch);
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

interface Streams {
  readonly sentSeq: number;
  readonly receivedSeq: number;
  readonly isHandling: boolean;
  readonly isClosed: boolean;
  readonly closed: Promise<CortexError>;
  readonly send: HubConnection["send"];
  readonly drained: HubConnection["drained"];
  readonly attachTasks: HubConnection["attachTasks"];
  readonly attachLink: HubConnection["attachLink"];
  close(reason: CortexError, isOrderly?: boolean): void;
}

function createStreams(epoch: number): Streams {
  const numbers = createFrameNumbers(epoch);
  const links = new Map<Link, "health" | "data">();
  let tasks: Link | undefined;
  let isHandling = false;
  let isClosed = false;
  const end = createEnd();
  const send = (body: HubFrameBody): void => {
    if (!isClosed && tasks !== undefined) numbers.send(tasks, body);
  };
  const close = (reason: CortexError, isOrderly = false): void => {
    if (isClosed) return;
    const isSuperseded = reason.code === "SUPERSEDED";
    if (isSuperseded) send({ case: "superseded", value: { epoch: BigInt(epoch) } });
    isClosed = true;
    endStreams({ tasks, links, reason, isOrderly: isOrderly || isSuperseded });
    end.settle(reason);
  };
  const attachLink = (link: Link, kind: "health" | "data"): void => {
    if (isClosed) return link.close(new CortexError("UNAVAILABLE", "the connection is closed"));
    links.set(link, kind);
    void link.closed.then(() => links.delete(link));
  };
  return {
    closed: end.closed,
    send,
    close,
    attachLink,
    drained: () => tasks?.drained() ?? Promise.resolve(),
    attachTasks(link, onFrame) {
      if (tasks !== undefined) throw new CortexError("BAD_REQUEST", "the connection has a control stream already");
      if (isClosed) return link.close(new CortexError("UNAVAILABLE", "the connection is closed"));
      tasks = link;
      link.onFrames(async (frames) => {
        isHandling = true;
        for (const bytes of frames) {
          const frame = isClosed ? undefined : numbers.accept(bytes);
          if (frame !== undefined) await onFrame(frame);
        }
        await untilTaken(link);
        isHandling = false;
      });
      void link.closed.then((error) =>
        close(error ?? new CortexError("UNAVAILABLE", "the node closed its control stream")),
      );
    },
    get sentSeq() {
      return numbers.sentSeq;
    },
    get receivedSeq() {
      return numbers.receivedSeq;
    },
    get isHandling() {
      return isHandling;
    },
    get isClosed() {
      return isClosed;
    },
  };
}

function createEnd(): { readonly closed: Promise<CortexError>; settle(reason: CortexError): void } {
  let settle: (reason: CortexError) => void = () => undefined;
  const closed = new Promise<CortexError>((resolve) => {
    settle = resolve;
  });
  return { closed, settle };
}

/** Ends data at once. An orderly end lets the control stream say what is queued, and health waits for it (C4). */
function endStreams(ending: {
  readonly tasks: Link | undefined;
  readonly links: ReadonlyMap<Link, "health" | "data">;
  readonly reason: CortexError;
  readonly isOrderly: boolean;
}): void {
  const { tasks, links, reason, isOrderly } = ending;
  const isLast = (kind: string): boolean => isOrderly && tasks !== undefined && kind === "health";
  for (const [link, kind] of links) {
    if (isLast(kind)) void tasks?.closed.then(() => link.close(reason));
    else link.close(reason);
  }
  tasks?.close(isOrderly ? undefined : reason);
}

interface FrameNumbers {
  readonly sentSeq: number;
  readonly receivedSeq: number;
  send(link: Link, body: HubFrameBody): void;
  /** Gives the frame when it is the next one; nothing for a repeat. @throws CortexError `STREAM_GAP` */
  accept(bytes: Uint8Array): NodeTaskFrame | undefined;
}

function createFrameNumbers(epoch: number): FrameNumbers {
  const received = createReceiveWindow();
  let sentSeq = 0;
  return {
    get sentSeq() {
      return sentSeq;
    },
    get receivedSeq() {
      return received.expectedSeq - 1;
    },
    send(link, body) {
      const frame = create(HubTaskFrameSchema, { seq: BigInt(sentSeq + 1), epoch: BigInt(epoch), body });
      link.send(toBinary(HubTaskFrameSchema, frame));
      // A frame that the link refused leaves no hole.
      sentSeq += 1;
    },
    accept(bytes) {
      const frame = readFrame(NodeTaskFrameSchema, bytes);
      if (frame.epoch !== BigInt(epoch)) return undefined;
      const seq = readCount(frame.seq);
      if (seq === 0) throw new CortexError("BAD_REQUEST", "the node sent a frame without a number");
      const verdict = received.accept(seq);
      if (verdict === "gap")
        throw new CortexError("STREAM_GAP", `frame ${received.expectedSeq} is missing, ${seq} came`);
      return verdict === "accept" ? frame : undefined;
    },
  };
}
