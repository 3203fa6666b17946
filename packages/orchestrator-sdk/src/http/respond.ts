/** Turns what an operation gave into a response: JSON, or bytes with ranges. */
import { CortexError } from "@cortex-mesh/protocol";
import type { ByteContent, Operation } from "../operations/operation.js";
import { problemResponse } from "./problem.js";
import { parseRange } from "./range.js";

/** A JSON answer; nothing at all for 204. */
export function jsonResponse(status: number, value: unknown): Response {
  if (status === 204) return new Response(null, { status });
  return new Response(JSON.stringify(value), { status, headers: { "content-type": "application/json" } });
}

/** What a bytes answer depends on besides the content. */
export interface BytesRequest {
  readonly request: Request;
  readonly requestId: string;
  /** Hears of a read that failed half-way. */
  readonly onFailure: (error: unknown) => void;
}

/** The bytes of `content`, or the one range of them that the request names. Nothing is read before the client reads. */
export function bytesResponse(content: ByteContent, { request, requestId, onFailure }: BytesRequest): Response {
  const { sizeBytes } = content;
  // Without validators an If-Range can match nothing, and then the range does not count.
  const header = request.headers.has("if-range") ? null : request.headers.get("range");
  const range = parseRange(header, sizeBytes);
  if (range === "unsatisfiable") {
    const error = new CortexError("BAD_REQUEST", `there are ${sizeBytes} bytes, none of them in the range`, {
      details: { sizeBytes },
    });
    return problemResponse(error, { requestId, status: 416, headers: { "content-range": `bytes */${sizeBytes}` } });
  }
  const { start, end } = range ?? { start: 0, end: sizeBytes };
  const headers = new Headers({
    "accept-ranges": "bytes",
    "content-type": "application/octet-stream",
    "content-length": String(end - start),
  });
  if (range !== undefined) headers.set("content-range", `bytes ${start}-${end - 1}/${sizeBytes}`);
  const body = request.method === "HEAD" ? null : toBody(content.read(start, end), onFailure);
  return new Response(body, { status: range === undefined ? 200 : 206, headers });
}

/** Headers of an event stream; proxies must not collect it. */
export const EVENT_STREAM_HEADERS: Readonly<Record<string, string>> = {
  "content-type": "text/event-stream",
  "x-accel-buffering": "no",
};

/** What a client may do with a path: for `Allow`. */
export function allowedMethods(operations: readonly Operation[]): string {
  const methods = operations.map(({ method }) => method);
  return [...new Set([...methods, ...(methods.includes("GET") ? ["HEAD"] : []), "OPTIONS"])].join(", ");
}

function toBody(source: AsyncIterable<Uint8Array>, onFailure: (error: unknown) => void): ReadableStream<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await iterator.next();
          if (done === true) controller.close();
          else controller.enqueue(value);
        } catch (error) {
          onFailure(error);
          controller.error(error);
        }
      },
      async cancel() {
        await iterator.return?.();
      },
    },
    { highWaterMark: 0 },
  );
}
