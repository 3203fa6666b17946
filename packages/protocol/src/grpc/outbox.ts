/**
 * Frames on their way out, cut into batches. Pure bookkeeping: it knows sizes and order, no stream and no time.
 *
 * Invariant: no batch is over `maxBatchBytes` unless it is one frame alone, and none has more than
 * `MAX_FRAMES_PER_MESSAGE` frames.
 */
import { batchedBytes, MAX_FRAMES_PER_MESSAGE } from "./frame-batch.js";

/** Frames that travel as one message. */
export interface Batch {
  readonly frames: readonly Uint8Array[];
  /** Encoded size. */
  readonly sizeBytes: number;
}

/** The queue of one link. */
export interface Outbox {
  /** Queues one frame. */
  push(frame: Uint8Array): void;
  /** Takes the oldest batch; also one that could still grow, unless `onlyFull`. */
  shift(onlyFull: boolean): Batch | undefined;
  /** Drops everything. */
  clear(): void;
  /** Encoded size of what is queued. */
  readonly sizeBytes: number;
}

/** A batch that grows. */
interface OpenBatch {
  frames: Uint8Array[];
  sizeBytes: number;
}

/** Makes a queue whose batches are cut at `maxBatchBytes`. */
export function createOutbox(maxBatchBytes: number): Outbox {
  let full: OpenBatch[] = [];
  let head = 0;
  let open: OpenBatch = { frames: [], sizeBytes: 0 };
  let sizeBytes = 0;

  function seal(): void {
    full.push(open);
    open = { frames: [], sizeBytes: 0 };
  }

  function take(onlyFull: boolean): OpenBatch | undefined {
    if (head < full.length) {
      const batch = full[head];
      head += 1;
      if (head === full.length) {
        full = [];
        head = 0;
      }
      return batch;
    }
    if (onlyFull || open.frames.length === 0) return undefined;
    const batch = open;
    open = { frames: [], sizeBytes: 0 };
    return batch;
  }

  return {
    push(frame) {
      const frameBytes = batchedBytes(frame.byteLength);
      if (open.frames.length > 0 && open.sizeBytes + frameBytes > maxBatchBytes) seal();
      open.frames.push(frame);
      open.sizeBytes += frameBytes;
      sizeBytes += frameBytes;
      if (open.sizeBytes >= maxBatchBytes || open.frames.length === MAX_FRAMES_PER_MESSAGE) seal();
    },
    shift(onlyFull) {
      const batch = take(onlyFull);
      if (batch !== undefined) sizeBytes -= batch.sizeBytes;
      return batch;
    },
    clear() {
      full = [];
      head = 0;
      open = { frames: [], sizeBytes: 0 };
      sizeBytes = 0;
    },
    get sizeBytes() {
      return sizeBytes;
    },
  };
}
