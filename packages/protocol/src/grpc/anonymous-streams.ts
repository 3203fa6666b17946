/**
 * Streams that anybody may open, without a token: bounded together, and ended by the server when it closes.
 *
 * They would otherwise keep a server from closing, and a peer could hold any number of them.
 */
import type { ServerDuplexStream, ServerWritableStream } from "@grpc/grpc-js";
import { CortexError } from "../errors.js";
import { toServiceError } from "./status.js";
import { MAX_ANONYMOUS_STREAMS } from "./transport-limits.js";

/** A call that streams to its client. */
export type AnonymousStream<Request, Response> =
  | ServerWritableStream<Request, Response>
  | ServerDuplexStream<Request, Response>;

/** The streams that are open. */
export interface AnonymousStreams {
  /** Takes a stream in until it is over; one too many, or a late one, is ended and not taken. */
  admit<Request, Response>(stream: AnonymousStream<Request, Response>): boolean;
  /** Ends every stream, after what was written to it, with `UNAVAILABLE`, and admits no more. */
  closeAll(): void;
}

/** Makes an empty set of at most `limit` streams. */
export function createAnonymousStreams(limit: number = MAX_ANONYMOUS_STREAMS): AnonymousStreams {
  const open = new Set<{ end(): void }>();
  let isClosed = false;
  return {
    admit(stream) {
      const end = (reason: CortexError): void => {
        if (!stream.destroyed) stream.emit("error", toServiceError(reason));
      };
      stream.on("error", () => {
        // grpc-js sends it as the status of the call.
      });
      const isFull = open.size >= limit;
      if (isClosed || isFull) {
        end(isClosed ? closing() : new CortexError("QUOTA_EXCEEDED", `over ${limit} streams without a token`));
        return false;
      }
      const entry = { end: () => end(closing()) };
      open.add(entry);
      // grpc-js says so after every end, orderly or not.
      stream.once("cancelled", () => open.delete(entry));
      if (stream.cancelled) open.delete(entry);
      return true;
    },
    closeAll() {
      isClosed = true;
      for (const { end } of open) end();
    },
  };
}

function closing(): CortexError {
  return new CortexError("UNAVAILABLE", "the hub is closing");
}
