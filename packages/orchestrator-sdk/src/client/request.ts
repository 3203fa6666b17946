/**
 * Puts the input of an operation where it travels: path, query, headers, body. Pure.
 *
 * The input was checked against the schema of the operation; it is sent as the caller gave it, and defaults are the hub's.
 */
import { CortexError } from "@cortex-mesh/protocol/portable";
import type { HttpMethod, OperationDescription } from "../operations/description.js";

/** One request, less where the hub is and who asks. */
export interface ClientRequest {
  readonly method: HttpMethod;
  /** Path with the query, below the base. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** JSON text, bytes as they come, or nothing. */
  readonly body: string | AsyncIterable<Uint8Array> | undefined;
}

/**
 * Makes the request of a call.
 *
 * @throws CortexError `NOT_FOUND` for a field that no path can carry, `BAD_REQUEST` for one that no query or header can.
 */
export function toClientRequest(
  operation: OperationDescription,
  input: Readonly<Record<string, unknown>>,
): ClientRequest {
  const { method, paths, places } = operation;
  const path = paths[0].replaceAll(/\{([A-Za-z]+)\}/g, (_match, field: string) => toSegment(field, input[field]));
  const query = new URLSearchParams();
  for (const field of places.query) {
    const text = toText(field, input[field]);
    if (text !== undefined) query.append(field, text);
  }
  const headers: Record<string, string> = {};
  for (const [field, name] of Object.entries(places.headers)) {
    const text = toText(field, input[field]);
    if (text !== undefined) headers[name] = assertHeader(field, text);
  }
  const body = toBody(operation, input);
  if (body !== undefined)
    headers["content-type"] = typeof body === "string" ? "application/json" : "application/octet-stream";
  return { method, path: query.size === 0 ? path : `${path}?${query}`, headers, body };
}

function toBody(
  { method, places }: OperationDescription,
  input: Readonly<Record<string, unknown>>,
): string | AsyncIterable<Uint8Array> | undefined {
  if (places.bytes !== undefined) return input[places.bytes] as AsyncIterable<Uint8Array>;
  if (method !== "POST" && method !== "PUT") return undefined;
  return JSON.stringify(Object.fromEntries(places.body.map((field) => [field, input[field]])));
}

/** What no URL carries as one segment names nothing: `..` would name another resource, and no text at all none. */
function toSegment(field: string, value: unknown): string {
  const text = toText(field, value) ?? "";
  try {
    if (!/^\.{0,2}$/.test(text)) return encodeURIComponent(text);
  } catch {
    // An unpaired surrogate has no encoding.
  }
  throw new CortexError("NOT_FOUND", `${field}: there is nothing with this name`);
}

function toText(field: string, value: unknown): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return String(value);
  throw new CortexError("BAD_REQUEST", `${field}: only text, numbers and booleans travel outside of a body`, {
    details: { field },
  });
}

/** Line breaks would end a header, and what is beyond Latin-1 has no place in one. */
function assertHeader(field: string, text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  if (/^[\x20-\x7e\xa0-\xff]*$/.test(text)) return text;
  throw new CortexError("BAD_REQUEST", `${field}: this text cannot travel in a header`, { details: { field } });
}
