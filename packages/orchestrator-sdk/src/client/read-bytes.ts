/**
 * Bytes by range: the size first, then the pieces as they are read. A read that was cut goes on where it was, so what comes
 * out is exact or an error.
 */
import { CortexError } from "@cortex-mesh/protocol/portable";
import type { OperationDescription } from "../operations/description.js";
import type { ByteContent } from "../operations/operation.js";
import { checked } from "./call-json.js";
import type { Call, ClientContext } from "./context.js";
import { type ClientRequest, toClientRequest } from "./request.js";
import { createRetryPolicy } from "./retry.js";

const RANGE_UNSATISFIABLE = 416;
const PARTIAL = 206;

/**
 * Opens bytes on the hub: asks for their size; each read is a request of its own.
 *
 * @throws CortexError of the hub; `UNAVAILABLE`, `TIMED_OUT`, `CANCELLED`
 */
export async function openBytes(
  context: ClientContext,
  operation: OperationDescription,
  { input, signal }: Call,
): Promise<ByteContent> {
  const source: Source = { context, request: toClientRequest(operation, checked(operation, input)), signal };
  const retry = createRetryPolicy({ ...context, signal });
  for (;;) {
    try {
      const sizeBytes = await askSize(source);
      return { sizeBytes, read: (start, end) => readRange(source, { start, end: Math.min(end, sizeBytes) }) };
    } catch (error) {
      await retry.wait(error, context.callRetryMs);
    }
  }
}

interface Source {
  readonly context: ClientContext;
  readonly request: ClientRequest;
  readonly signal: AbortSignal | undefined;
}

/** A range of one byte: unlike HEAD, its refusals have a body that says why. */
async function askSize({ context, request, signal }: Source): Promise<number> {
  const headers = { range: "bytes=0-0" };
  const response = await context.transport.send(request, { signal, headers, accept: [RANGE_UNSATISFIABLE] });
  const { status, headers: said } = response;
  await response.body?.cancel();
  const size = status === 200 ? said.get("content-length") : said.get("content-range")?.split("/")[1];
  if (size != null && /^[0-9]{1,15}$/.test(size)) return Number(size);
  throw new CortexError("INTERNAL", `${request.path}: the hub does not say how many bytes there are`);
}

async function* readRange(
  source: Source,
  { start, end }: { readonly start: number; readonly end: number },
): AsyncGenerator<Uint8Array> {
  const { context, signal } = source;
  const retry = createRetryPolicy({ ...context, signal });
  let position = start;
  while (position < end) {
    try {
      for await (const piece of readOnce(source, { start: position, end })) {
        position += piece.byteLength;
        retry.reset();
        yield piece;
      }
      if (position < end) throw new CortexError("UNAVAILABLE", `the answer ended at byte ${position} of ${end}`);
    } catch (error) {
      await retry.wait(error, context.callRetryMs);
    }
  }
}

async function* readOnce(
  { context, request, signal }: Source,
  { start, end }: { readonly start: number; readonly end: number },
): AsyncGenerator<Uint8Array> {
  const { transport } = context;
  const response = await transport.send(request, { signal, headers: { range: `bytes=${start}-${end - 1}` } });
  const reader = response.body?.getReader();
  if (reader === undefined) return;
  try {
    const isRange = response.status === PARTIAL && response.headers.get("content-range")?.startsWith(`bytes ${start}-`);
    if (isRange !== true) throw new CortexError("INTERNAL", `${request.path}: something on the way drops ranges`);
    for (;;) {
      const { done, value } = await transport.read(reader.read(), { signal, timeoutMs: transport.timeoutMs });
      if (done) return;
      yield value;
    }
  } finally {
    // Whoever stops early wants no more; a body that already failed has nothing to cancel.
    reader.cancel().catch(() => undefined);
  }
}
