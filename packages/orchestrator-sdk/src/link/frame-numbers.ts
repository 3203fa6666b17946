/** Numbers the frames of a control stream on the way down, and holds those on the way up to theirs (C1). */
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { CortexError, type Link } from "@cortex-mesh/protocol";
import { HubTaskFrameSchema, type NodeTaskFrame, NodeTaskFrameSchema } from "@cortex-mesh/protocol/gen";
import { createReceiveWindow } from "@cortex-mesh/protocol/log";
import { readCount, readFrame } from "./wire.js";

/** The body of a frame to the node. */
export type HubFrameBody = NonNullable<MessageInitShape<typeof HubTaskFrameSchema>["body"]>;

/** The numbers of one control stream. */
export interface FrameNumbers {
  readonly sentSeq: number;
  readonly receivedSeq: number;
  send(link: Link, body: HubFrameBody): void;
  /** Gives the frame when it is the next one; nothing for a repeat. @throws CortexError `STREAM_GAP` */
  accept(bytes: Uint8Array): NodeTaskFrame | undefined;
}

/** Begins to count, both ways. */
export function createFrameNumbers(epoch: number): FrameNumbers {
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
