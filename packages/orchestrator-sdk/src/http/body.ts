/** Request bodies: JSON within its limit, counted before it is parsed, and raw bytes as they come. */
import { type Clock, CortexError, MAX_HTTP_JSON_BYTES } from "@cortex-mesh/protocol";

/** A client that sends its JSON slower than this holds a connection for nothing. */
export const MAX_JSON_BODY_MS = 60_000;

/**
 * Reads a JSON object; an absent or empty body is an empty one.
 *
 * @throws CortexError `TOO_LARGE` before anything is parsed, `BAD_REQUEST` for what is no JSON object, `TIMED_OUT`
 */
export async function readJsonBody(request: Request, clock: Clock): Promise<Readonly<Record<string, unknown>>> {
  // A declared length over the limit is refused unread; a smaller one is not believed, the bytes are counted.
  if (Number(request.headers.get("content-length") ?? 0) > MAX_HTTP_JSON_BYTES) throw tooLarge();
  const text = decodeUtf8(await readLimited(request.body, clock));
  if (text.trim() === "") return {};
  const value = parseJson(text);
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new CortexError("BAD_REQUEST", "the body must be a JSON object");
}

/** The raw body, as it comes; reading it is what lets the client send more. */
export async function* readRawBody(request: Request): AsyncGenerator<Uint8Array> {
  if (request.body === null) return;
  const reader = request.body.getReader();
  try {
    for (;;) {
      const { done, value } = (await reader.read()) as { done: boolean; value?: Uint8Array };
      if (done || value === undefined) return;
      yield value;
    }
  } finally {
    // Whoever stops early wants no more; a body that already failed has nothing to cancel.
    await reader.cancel().catch(() => undefined);
  }
}

async function readLimited(body: Request["body"], clock: Clock): Promise<Uint8Array> {
  if (body === null) return new Uint8Array();
  const reader = body.getReader();
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  let isLate = false;
  const stop = (): void => {
    // Ends the read that waits; a body that already failed has nothing to cancel.
    reader.cancel().catch(() => undefined);
  };
  const timer = clock.setTimer(() => {
    isLate = true;
    stop();
  }, MAX_JSON_BODY_MS);
  try {
    for (;;) {
      const { done, value } = (await reader.read()) as { done: boolean; value?: Uint8Array };
      if (isLate) throw new CortexError("TIMED_OUT", `the body did not arrive within ${MAX_JSON_BODY_MS} ms`);
      if (done || value === undefined) return Buffer.concat(chunks);
      sizeBytes += value.byteLength;
      if (sizeBytes > MAX_HTTP_JSON_BYTES) {
        stop();
        throw tooLarge();
      }
      chunks.push(value);
    }
  } finally {
    timer.cancel();
  }
}

function tooLarge(): CortexError {
  return new CortexError("TOO_LARGE", `a JSON body has at most ${MAX_HTTP_JSON_BYTES} bytes`, {
    details: { maxBytes: MAX_HTTP_JSON_BYTES },
  });
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new CortexError("BAD_REQUEST", "the body is not valid UTF-8", { cause });
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new CortexError("BAD_REQUEST", "the body is not valid JSON", { cause });
  }
}
