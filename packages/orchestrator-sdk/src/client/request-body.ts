/** The body of a request: text as it is, bytes as a stream that is read no faster than it is sent. */

/** A body with what became of its source. */
export interface RequestBody {
  readonly content: string | ReadableStream<Uint8Array>;
  /** What the source of bytes threw. */
  failure(): unknown;
}

/** Makes the body; a source of bytes is read once. */
export function toRequestBody(body: string | AsyncIterable<Uint8Array> | undefined): RequestBody | undefined {
  if (body === undefined) return undefined;
  if (typeof body === "string") return { content: body, failure: () => undefined };
  const iterator = body[Symbol.asyncIterator]();
  let failure: unknown;
  const content = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await iterator.next();
          if (done === true) controller.close();
          else controller.enqueue(value);
        } catch (error) {
          failure = error;
          controller.error(error);
        }
      },
      async cancel() {
        await iterator.return?.();
      },
    },
    { highWaterMark: 0 },
  );
  return { content, failure: () => failure };
}
