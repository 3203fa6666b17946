/**
 * The seam between the cores of hub and node and the network: one stream of encoded frames each way.
 *
 * In production a link is one gRPC stream; `@cortex-mesh/testing` has one in memory that drops, repeats and delays.
 * A link keeps order. A frame that got lost shows as a gap in the frames' own numbers, and the receiver closes the link.
 */
import type { CortexError } from "./errors.js";

/** Takes frames in order. The link reads nothing more until the returned promise is settled: that is the back-pressure. */
export type FrameListener = (frames: readonly Uint8Array[]) => void | Promise<void>;

/** One ordered stream of frames in each direction. */
export interface Link {
  /**
   * Queues one encoded frame; frames of one tick travel as one message. The link owns the bytes from then on.
   * After the link closed this does nothing.
   *
   * @throws CortexError `TOO_LARGE` when the frame alone is over the link's message limit.
   */
  send(frame: Uint8Array): void;
  /** Bytes that were queued and that the transport has not taken yet. */
  readonly bufferedBytes: number;
  /** Resolves when the link wants more frames; at once when nothing is buffered, and also when it closes. */
  drained(): Promise<void>;
  /** Sets the one listener; frames that came before are kept for it. A listener that throws closes the link. */
  onFrames(listener: FrameListener): void;
  /** Ends both directions, after what was queued has been sent when there is no `reason`. Idempotent. */
  close(reason?: CortexError): void;
  /** Resolves, and never rejects, when the link is over: with the reason, or nothing after an orderly end of either side. */
  readonly closed: Promise<CortexError | undefined>;
}
