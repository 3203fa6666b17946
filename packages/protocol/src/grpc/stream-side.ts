/**
 * The two ends of a gRPC stream behind one interface, so that a link does not care on which side it is.
 *
 * What grpc-js 1.14 does, and what is made of it:
 *
 * - client: `error` carries a status other than OK; an orderly end is the status OK and, once all was read, `end`.
 *   A lost connection gives `error` and never `drain` or `close`.
 * - server: `end` is a half-close, but also the first sign of a lost connection, and only then `cancelled` follows.
 *   `cancelled` also follows an orderly end, after the status was sent.
 */
import type { ClientDuplexStream, ServerDuplexStream, StatusObject } from "@grpc/grpc-js";
import { status as Status } from "@grpc/grpc-js";
import { CortexError } from "../errors.js";
import { resetServerStream } from "./private-fields.js";
import type { ReceivedBatch } from "./service-definition.js";
import { fromServiceError, toServiceError } from "./status.js";

/** A bidirectional call that carries batches, on either side. */
export type BatchStream =
  | ClientDuplexStream<ReceivedBatch, ReceivedBatch>
  | ServerDuplexStream<ReceivedBatch, ReceivedBatch>;

/** What a side tells its link. */
export interface StreamSideEvents {
  /** The peer writes no more, in an orderly way; comes at most once and before `over`. */
  ended(): void;
  /** The call is over, with the reason when it was not orderly. May come more than once; the first counts. */
  over(reason: CortexError | undefined): void;
}

/** How a call is ended from here. */
export interface StreamSide {
  /** Ends this direction after what was written. */
  finish(): void;
  /** Ends the call at once; a server's reason reaches the client as status. */
  abort(reason: CortexError): void;
  /** Drops the call without another word, also one whose peer does not read. */
  reset(): void;
}

/** Watches a call and gives the means to end it. */
export function openStreamSide(stream: BatchStream, events: StreamSideEvents): StreamSide {
  return "cancel" in stream ? openClientSide(stream, events) : openServerSide(stream, events);
}

function openClientSide(
  stream: ClientDuplexStream<ReceivedBatch, ReceivedBatch>,
  events: StreamSideEvents,
): StreamSide {
  let isRead = false;
  let isStatusOk = false;
  const settle = (): void => {
    if (isRead && isStatusOk) events.over(undefined);
  };
  stream.on("error", (error: Error) => events.over(isStatus(error) ? fromServiceError(error) : lost(error)));
  stream.on("status", ({ code }: StatusObject) => {
    isStatusOk = code === Status.OK;
    settle();
  });
  stream.on("end", () => {
    isRead = true;
    settle();
  });
  return {
    finish: () => stream.end(),
    abort: () => stream.cancel(),
    reset: () => stream.cancel(),
  };
}

function openServerSide(
  stream: ServerDuplexStream<ReceivedBatch, ReceivedBatch>,
  events: StreamSideEvents,
): StreamSide {
  let isFinished = false;
  const whenCancelled = (): void => events.over(isFinished ? undefined : lost());
  stream.on("error", () => {
    // grpc-js sends it as the status of the call; whoever made it knows it already.
  });
  stream.on("finish", () => {
    isFinished = true;
  });
  stream.on("cancelled", whenCancelled);
  // When the connection is lost, `cancelled` follows in the same turn.
  stream.on("end", () => setImmediate(() => events.ended()));
  if (stream.cancelled) queueMicrotask(whenCancelled);
  return {
    finish: () => stream.end(),
    abort(reason) {
      if (!stream.destroyed) stream.emit("error", toServiceError(reason));
    },
    reset: () => resetServerStream(stream),
  };
}

function isStatus(error: Error): error is Error & StatusObject {
  return "code" in error && typeof error.code === "number" && "details" in error && "metadata" in error;
}

function lost(cause?: Error): CortexError {
  return new CortexError("UNAVAILABLE", "the peer cancelled the stream or the connection was lost", { cause });
}
