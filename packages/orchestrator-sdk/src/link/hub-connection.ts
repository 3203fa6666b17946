/**
 * One connection of a node as the hub sees it: its control stream with numbered frames, its fence, its figures.
 *
 * - C1 frames up are numbered from 1 without gaps: a repeat is dropped, a hole closes the connection.
 * - C2 nothing is dispatched before the hello is handled.
 * - C3 `close` is final and idempotent; whoever waits for the end is told once.
 */
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { CortexError, type Link, type NodeId, type UserId } from "@cortex-mesh/protocol";
import { HubTaskFrameSchema, type NodeTaskFrame, NodeTaskFrameSchema } from "@cortex-mesh/protocol/gen";
import { createReceiveWindow } from "@cortex-mesh/protocol/log";
import type { InputPiece, NodeConnection, NodeUsage } from "../nodes/connection.js";
import type { TaskRecord } from "../store/records.js";
import { readCount } from "./wire.js";

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
  /** Attaches the control stream; frames go to `onFrame` in order, numbered and checked. */
  attachTasks(link: Link, onFrame: (frame: NodeTaskFrame) => void | Promise<void>): void;
  /** Ties another stream's life to the connection's. */
  attachLink(link: Link): void;
  send(body: HubFrameBody): void;
  /** Resolves when the control stream takes more. */
  drained(): Promise<void>;
  markReady(noteTask: (task: TaskRecord) => void): void;
  markDraining(): void;
  setUsage(usage: NodeUsage, roundTripMs: number | undefined): void;
  /** The node said goodbye: its end is not a loss. */
  isGoodbye: boolean;
  readonly closed: Promise<CortexError>;
}

/** Makes the connection of a node that registered. */
export function createHubConnection(identity: ConnectionIdentity): HubConnection {
  const received = createReceiveWindow();
  const links = new Set<Link>();
  let tasks: Link | undefined;
  let sentSeq = 0;
  let noteTask: ((task: TaskRecord) => void) | undefined;
  let isDraining = false;
  let isClosed = false;
  let usage: NodeUsage | undefined;
  let roundTripMs: number | undefined;
  let settleClosed: (reason: CortexError) => void = () => undefined;
  const closed = new Promise<CortexError>((resolve) => {
    settleClosed = resolve;
  });

  const send = (body: HubFrameBody): void => {
    if (isClosed || tasks === undefined) return;
    sentSeq += 1;
    const frame = create(HubTaskFrameSchema, { seq: BigInt(sentSeq), epoch: BigInt(identity.epoch), body });
    tasks.send(toBinary(HubTaskFrameSchema, frame));
  };
  const close = (reason: CortexError): void => {
    if (isClosed) return;
    if (reason.code === "SUPERSEDED") send({ case: "superseded", value: { epoch: BigInt(identity.epoch) } });
    isClosed = true;
    for (const link of links) link.close(reason);
    settleClosed(reason);
  };
  const attachLink = (link: Link): void => {
    if (isClosed) {
      link.close(new CortexError("UNAVAILABLE", "the connection is closed"));
      return;
    }
    links.add(link);
  };
  /** Gives the frame when it is the next one; nothing for a repeat. @throws {@link CortexError} `STREAM_GAP` */
  const acceptFrame = (bytes: Uint8Array): NodeTaskFrame | undefined => {
    const frame = fromBinary(NodeTaskFrameSchema, bytes);
    const seq = readCount(frame.seq);
    if (frame.epoch !== BigInt(identity.epoch)) return undefined;
    const verdict = received.accept(seq);
    if (verdict === "gap") throw new CortexError("STREAM_GAP", `frame ${received.expectedSeq} is missing, ${seq} came`);
    return verdict === "accept" ? frame : undefined;
  };

  return {
    ...identity,
    isGoodbye: false,
    closed,
    close,
    send,
    attachLink,
    get isReady() {
      return noteTask !== undefined && !isClosed;
    },
    get isDraining() {
      return isDraining;
    },
    get usage() {
      return usage;
    },
    get roundTripMs() {
      return roundTripMs;
    },
    get controlSentSeq() {
      return sentSeq;
    },
    get controlReceivedSeq() {
      return received.expectedSeq - 1;
    },
    attachTasks(link, onFrame) {
      if (tasks !== undefined) throw new CortexError("BAD_REQUEST", "the connection has a control stream already");
      tasks = link;
      attachLink(link);
      link.onFrames(async (frames) => {
        for (const bytes of frames) {
          const frame = acceptFrame(bytes);
          if (frame !== undefined && !isClosed) await onFrame(frame);
        }
      });
      void link.closed.then((error) => close(error ?? new CortexError("UNAVAILABLE", "the node closed its control stream")));
    },
    drained: () => tasks?.drained() ?? Promise.resolve(),
    markReady(note) {
      noteTask = note;
    },
    markDraining() {
      isDraining = true;
    },
    noteTask: (task) => noteTask?.(task),
    sendInput: (piece: InputPiece) =>
      send({
        case: "input",
        value: { taskId: piece.taskId, attempt: piece.attempt, offset: BigInt(piece.offset), data: piece.data, eof: piece.eof },
      }),
    sendResize: ({ taskId, attempt }, size) => send({ case: "resize", value: { taskId, attempt, size: { ...size } } }),
    requestDrain(graceMs) {
      isDraining = true;
      send({ case: "drain", value: { graceMs } });
    },
    setUsage(figures, roundTrip) {
      usage = figures;
      roundTripMs = roundTrip;
    },
  };
}
