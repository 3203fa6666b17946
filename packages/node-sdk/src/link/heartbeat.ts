/**
 * ReportHealth of one connection: says every few seconds how the node is, and notices when the hub does not answer or
 * frames got lost at the end of the control stream.
 */
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type Clock, CortexError, type Link, type Timer, toCortexError } from "@cortex-mesh/protocol";
import { HeartbeatSchema, LeaseAnswerSchema } from "@cortex-mesh/protocol/gen";
import { type ControlChannel, streamGap } from "./control-channel.js";
import { isTailLost, type TailLook } from "./tail-loss.js";

/** Figures of a heartbeat, without its numbers. */
export type HeartbeatFigures = Omit<MessageInitShape<typeof HeartbeatSchema>, "$typeName" | "$unknown">;

/** What {@link startHeartbeat} needs. */
export interface HeartbeatOptions {
  readonly link: Link;
  readonly clock: Clock;
  readonly epoch: bigint;
  readonly intervalMs: number;
  /** Silence of the hub after which the connection is given up, in milliseconds. */
  readonly silenceMs: number;
  readonly control: Pick<ControlChannel, "sentSeq" | "receivedSeq">;
  readonly figures: () => HeartbeatFigures;
  /** Called once, when the connection is to be given up. */
  readonly onLost: (error: CortexError) => void;
}

/** A heartbeat that beats. */
export interface HeartbeatLoop {
  /** Beats now, out of turn. */
  beat(): void;
  stop(): void;
}

/** Sends a heartbeat at once and then every interval. */
export function startHeartbeat(options: HeartbeatOptions): HeartbeatLoop {
  const { link, clock, epoch, control } = options;
  let seq = 0;
  let lastAnswerAtMs = clock.monotonicMs();
  let roundTripMs = 0;
  let lastLook: TailLook | undefined;
  let isStopped = false;
  let timer: Timer;
  const sentAtMs = new Map<number, number>();

  const stop = (): void => {
    isStopped = true;
    timer.cancel();
  };
  const lose = (error: CortexError): void => {
    if (isStopped) return;
    stop();
    options.onLost(error);
  };

  function beat(): void {
    if (isStopped) return;
    const nowMs = clock.monotonicMs();
    if (nowMs - lastAnswerAtMs > options.silenceMs) {
      return lose(new CortexError("UNAVAILABLE", `the hub was silent for more than ${options.silenceMs} ms`));
    }
    seq += 1;
    sentAtMs.set(seq, nowMs);
    const frame = create(HeartbeatSchema, {
      ...options.figures(),
      seq: BigInt(seq),
      epoch,
      controlSentSeq: BigInt(control.sentSeq),
      controlReceivedSeq: BigInt(control.receivedSeq),
      roundTripMs,
    });
    link.send(toBinary(HeartbeatSchema, frame));
  }

  function answered(bytes: Uint8Array): void {
    const answer = fromBinary(LeaseAnswerSchema, bytes);
    if (answer.epoch !== epoch) return;
    const nowMs = clock.monotonicMs();
    lastAnswerAtMs = nowMs;
    roundTripMs = nowMs - (sentAtMs.get(Number(answer.seq)) ?? nowMs);
    for (const known of sentAtMs.keys()) if (known <= Number(answer.seq)) sentAtMs.delete(known);
    const look = { peerSentSeq: Number(answer.controlSentSeq), receivedSeq: control.receivedSeq };
    if (isTailLost(lastLook, look)) {
      return lose(streamGap(`the hub sent ${look.peerSentSeq} frames, ${look.receivedSeq} arrived`));
    }
    lastLook = look;
  }

  const tick = (): void => {
    timer = clock.setTimer(tick, options.intervalMs);
    beat();
  };
  listen(link, (bytes) => {
    if (!isStopped) answered(bytes);
  });
  timer = clock.setTimer(tick, options.intervalMs);
  beat();
  return { beat, stop };
}

/** Bytes that cannot be read are the hub's fault, and end the stream as such. */
function listen(link: Link, onFrame: (bytes: Uint8Array) => void): void {
  link.onFrames((frames) => {
    try {
      for (const bytes of frames) onFrame(bytes);
    } catch (error) {
      link.close(toCortexError(error, "BAD_REQUEST"));
    }
  });
}
