/**
 * The incoming half of a link: hands batches to one listener, one at a time.
 *
 * (R1) Nothing is read before there is a listener, nor while one is busy with a batch; what is read ahead is bounded.
 * (R2) After `discard` the listener is never called again, and the stream is read empty, since its end comes last.
 */
import { type CortexError, isCortexError, toCortexError } from "../errors.js";
import type { FrameListener } from "../link.js";
import { limitReadAhead } from "./private-fields.js";
import type { ReceivedBatch } from "./service-definition.js";
import type { BatchStream } from "./stream-side.js";
import { MAX_READ_AHEAD_MESSAGES } from "./transport-limits.js";

/** Receives frames of one link. */
export interface LinkReader {
  /** Sets the listener; a later one takes over from the next batch on. */
  listen(listener: FrameListener): void;
  /** Reads on without a listener (R2). */
  discard(): void;
}

/** Makes the incoming half of a link. `onFault` hears of a message that is no batch, and of a listener that threw. */
export function createLinkReader(stream: BatchStream, onFault: (reason: CortexError) => void): LinkReader {
  let listener: FrameListener | undefined;
  let isDiscarding = false;
  limitReadAhead(stream, MAX_READ_AHEAD_MESSAGES);
  // Until its first read, a client of grpc-js takes everything that comes and keeps it, without any bound.
  stream.read(0);

  async function waitFor(handled: Promise<void>): Promise<void> {
    stream.pause();
    try {
      await handled;
      stream.resume();
    } catch (error) {
      onFault(toCortexError(error));
    }
  }

  function deliver(batch: ReceivedBatch): void {
    if (isDiscarding || listener === undefined) return;
    if (isCortexError(batch)) {
      onFault(batch);
      return;
    }
    if (batch.length === 0) return;
    try {
      const handled = listener(batch);
      if (handled !== undefined) void waitFor(handled);
    } catch (error) {
      onFault(toCortexError(error));
    }
  }

  return {
    listen(next) {
      if (isDiscarding) return;
      const isFirst = listener === undefined;
      listener = next;
      if (isFirst) stream.on("data", deliver);
    },
    discard() {
      isDiscarding = true;
      listener = undefined;
      stream.resume();
    },
  };
}
