/**
 * TaskStream of one connection: numbers what goes out, judges what comes in.
 *
 * (C1) Outgoing frames are numbered from 1 without gaps. (C2) An incoming frame is handed on once and in order; a gap
 * ends the channel with `STREAM_GAP`, since what is missing may have been a task.
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { CortexError, type Link, toCortexError } from "@cortex-mesh/protocol";
import { type HubTaskFrame, HubTaskFrameSchema, NodeTaskFrameSchema } from "@cortex-mesh/protocol/gen";
import type { NodeReport } from "../runner/report.js";
import { judgeFrame } from "./frame-order.js";

/** The body of a frame of the hub. */
export type HubFrameBody = Extract<HubTaskFrame["body"], { readonly case: string }>;

/** One numbered stream. */
export interface ControlChannel {
  /** Last number that was sent, and that was received. */
  readonly sentSeq: number;
  readonly receivedSeq: number;
  /** @throws CortexError `TOO_LARGE` when the frame is over the limit of a message; nothing was sent then. */
  send(report: NodeReport): void;
}

/** What {@link createControlChannel} needs. */
export interface ControlChannelOptions {
  readonly link: Link;
  readonly epoch: bigint;
  /** Takes the bodies of one message, in order; reading waits for it. */
  readonly onFrames: (bodies: readonly HubFrameBody[]) => Promise<void> | void;
}

/** Starts to read. */
export function createControlChannel({ link, epoch, onFrames }: ControlChannelOptions): ControlChannel {
  let sentSeq = 0;
  let receivedSeq = 0;

  function accept(bytes: Uint8Array): HubFrameBody | undefined {
    const frame = fromBinary(HubTaskFrameSchema, bytes);
    const verdict = judgeFrame(receivedSeq, epoch, frame);
    if (verdict === "gap") throw streamGap(`frame ${receivedSeq + 1} of the hub is missing, got ${frame.seq}`);
    if (verdict !== "next") return undefined;
    receivedSeq += 1;
    // A body that this version does not know is skipped; its number counts.
    return frame.body.case === undefined ? undefined : frame.body;
  }

  link.onFrames((frames) => {
    const bodies: HubFrameBody[] = [];
    let fault: CortexError | undefined;
    try {
      for (const bytes of frames) {
        const body = accept(bytes);
        if (body !== undefined) bodies.push(body);
      }
    } catch (error) {
      fault = toCortexError(error, "BAD_REQUEST");
    }
    const handled = bodies.length === 0 ? undefined : onFrames(bodies);
    if (fault !== undefined) link.close(fault);
    return handled;
  });

  return {
    get sentSeq() {
      return sentSeq;
    },
    get receivedSeq() {
      return receivedSeq;
    },
    send(report) {
      const frame = create(NodeTaskFrameSchema, { seq: BigInt(sentSeq + 1), epoch, body: report });
      link.send(toBinary(NodeTaskFrameSchema, frame));
      // A frame that the link refused leaves no hole (C1).
      sentSeq += 1;
    },
  };
}

/** The error of a missing frame. */
export function streamGap(message: string): CortexError {
  return new CortexError("STREAM_GAP", message);
}
