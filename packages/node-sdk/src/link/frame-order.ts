/** Whether a numbered frame is the next one. Pure. */

/** What a frame says about its place. */
export interface FramePlace {
  readonly seq: bigint;
  readonly epoch: bigint;
}

/** What to do with a frame: only `next` is acted on; after a `gap` the connection is made anew. */
export type FrameVerdict = "next" | "duplicate" | "stale" | "gap";

/** Judges a frame by the last number that was received and the epoch of the connection. */
export function judgeFrame(lastSeq: number, epoch: bigint, frame: FramePlace): FrameVerdict {
  if (frame.epoch < epoch) return "stale";
  const seq = Number(frame.seq);
  if (seq <= lastSeq) return "duplicate";
  // A frame of a higher epoch belongs to a connection that this node does not know of: nothing fits any more.
  return seq === lastSeq + 1 && frame.epoch === epoch ? "next" : "gap";
}
