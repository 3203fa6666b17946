/**
 * A {@link Link} over one bidirectional gRPC call, on either side.
 *
 * - Frames of one turn of the event loop travel as one message (`link-writer.ts`).
 * - A listener's promise pauses reading (`link-reader.ts`). The frames it gets are views on the received message:
 *   copy what is kept.
 * - A client that closes with a reason cancels the call: gRPC carries a reason only from the server to the client.
 *
 * Invariants:
 * (L1) `closed` is settled once, by whatever ends the call first.
 * (L2) An end that was asked for has `lingerMs` to complete; then the call is reset.
 */
import { type Clock, systemClock, type Timer } from "../clock.js";
import { CortexError } from "../errors.js";
import type { Link } from "../link.js";
import { batchedBytes } from "./frame-batch.js";
import { createLinkReader } from "./link-reader.js";
import { createLinkWriter } from "./link-writer.js";
import { type BatchStream, openStreamSide } from "./stream-side.js";
import type { LinkLimits } from "./transport-limits.js";

/** What a link is made with. */
export interface GrpcLinkOptions {
  readonly limits: LinkLimits;
  /** Closes the link with `CANCELLED` when it fires. */
  readonly signal?: AbortSignal | undefined;
  /** @default the system's clock */
  readonly clock?: Clock | undefined;
}

/**
 * Makes a link over `stream`, which belongs to the link from then on.
 *
 * @throws RangeError when the limits contradict each other.
 */
export function createGrpcLink(stream: BatchStream, options: GrpcLinkOptions): Link {
  const { limits, signal, clock = systemClock } = options;
  assertLimits(limits);
  const writer = createLinkWriter(limits, (frames, onTaken) => stream.write(frames, onTaken));
  const reader = createLinkReader(stream, abort);
  const side = openStreamSide(stream, { ended: end, over });
  let state: "open" | "ending" | "over" = "open";
  let linger: Timer | undefined;
  let settleClosed: (reason: CortexError | undefined) => void = () => {};
  const closed = new Promise<CortexError | undefined>((resolve) => {
    settleClosed = resolve;
  });
  const onAbort = (): void => abort(new CortexError("CANCELLED", "the caller withdrew", { cause: signal?.reason }));
  if (signal?.aborted) queueMicrotask(onAbort);
  else signal?.addEventListener("abort", onAbort, { once: true });
  // The call is gone and needs no reset any more, also when the link was over before.
  stream.on("close", () => linger?.cancel());

  function over(reason: CortexError | undefined): void {
    if (state === "over") return;
    state = "over";
    linger?.cancel();
    signal?.removeEventListener("abort", onAbort);
    writer.stop();
    reader.discard();
    settleClosed(reason);
  }

  /** Ends the call at once with a reason of this side. */
  function abort(reason: CortexError): void {
    if (state === "over") return;
    over(reason);
    linger = clock.setTimer(() => side.reset(), limits.lingerMs);
    side.abort(reason);
  }

  /** Ends the call after what is queued. */
  function end(): void {
    if (state !== "open") return;
    state = "ending";
    linger = clock.setTimer(() => {
      over(new CortexError("TIMED_OUT", `the peer took no end of the stream within ${limits.lingerMs} ms`));
      side.reset();
    }, limits.lingerMs);
    reader.discard();
    writer.finish(() => side.finish());
  }

  return {
    send(frame) {
      if (state !== "open") return;
      if (batchedBytes(frame.byteLength) > limits.maxMessageBytes) throw tooLarge(frame, limits);
      writer.push(frame);
      if (writer.bufferedBytes > limits.maxBufferedBytes) abort(unread(writer.bufferedBytes));
    },
    get bufferedBytes() {
      return writer.bufferedBytes;
    },
    drained: () => writer.drained(),
    onFrames: (listener) => reader.listen(listener),
    close(reason) {
      if (reason === undefined) end();
      else abort(reason);
    },
    closed,
  };
}

function assertLimits({ flushBytes, maxMessageBytes, maxBufferedBytes }: LinkLimits): void {
  if (flushBytes > 0 && flushBytes <= maxMessageBytes && maxMessageBytes <= maxBufferedBytes) return;
  throw new RangeError("limits of a link must hold 0 < flushBytes <= maxMessageBytes <= maxBufferedBytes");
}

function tooLarge(frame: Uint8Array, { maxMessageBytes }: LinkLimits): CortexError {
  return new CortexError(
    "TOO_LARGE",
    `a frame of ${frame.byteLength} bytes is over the limit of ${maxMessageBytes} bytes a message`,
    { details: { sizeBytes: frame.byteLength, maxMessageBytes } },
  );
}

function unread(bufferedBytes: number): CortexError {
  return new CortexError("UNAVAILABLE", `the peer does not read: ${bufferedBytes} bytes wait for it`);
}
