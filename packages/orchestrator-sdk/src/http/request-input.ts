/**
 * Gathers the fields of an operation's input from where they travel: path, query, headers, body.
 *
 * Text from path, query and headers becomes numbers and booleans where the schema wants them; what does not look like
 * one is left to the schema, which refuses it by name. The result is raw until it went through the schema.
 */
import { z } from "zod";
import { type Clock, CortexError } from "@cortex-mesh/protocol";
import type { Operation } from "../operations/operation.js";
import { readJsonBody, readRawBody } from "./body.js";

/** How text turns into a field. */
type TextKind = "number" | "boolean" | "text";

/** Reads the input of one operation from a request. */
export type InputReader = (
  request: Request,
  source: { readonly pathFields: Readonly<Record<string, string>>; readonly clock: Clock },
) => Promise<Record<string, unknown>>;

/** Prepares the reader of one operation. */
export function createInputReader(operation: Operation): InputReader {
  const { places, method } = operation;
  const kinds = textKinds(operation);
  const toField = (field: string, text: string): unknown => fromText(kinds.get(field) ?? "text", text);

  return async (request, { pathFields, clock }) => {
    const input: Record<string, unknown> = {};
    for (const field of places.path) input[field] = toField(field, pathFields[field] ?? "");
    for (const [field, text] of readQuery(request, places.query)) input[field] = toField(field, text);
    for (const [field, header] of Object.entries(places.headers)) {
      const text = request.headers.get(header);
      if (text !== null && text !== "") input[field] = toField(field, text);
    }
    if (places.bytes !== undefined) input[places.bytes] = readRawBody(request);
    else if (method === "POST" || method === "PUT") {
      const body = await readJsonBody(request, clock);
      // What travels elsewhere is no field of the body, so that a body cannot name another resource than the path.
      for (const field of Object.keys(body)) assertKnown(places.body, field);
      Object.assign(input, body);
    }
    return input;
  };
}

function readQuery(request: Request, fields: readonly string[]): Map<string, string> {
  const query = new Map<string, string>();
  for (const [field, text] of new URL(request.url).searchParams) {
    assertKnown(fields, field);
    if (query.has(field)) throw badField(field, "is given twice");
    query.set(field, text);
  }
  return query;
}

function assertKnown(fields: readonly string[], field: string): void {
  if (!fields.includes(field)) throw badField(field, "is not known here");
}

/** Longest field name that is repeated to the caller. */
const MAX_FIELD_CHARACTERS = 200;

function badField(name: string, problem: string): CortexError {
  const field = name.slice(0, MAX_FIELD_CHARACTERS);
  return new CortexError("BAD_REQUEST", `${field}: ${problem}`, { details: { field } });
}

function textKinds(operation: Operation): ReadonlyMap<string, TextKind> {
  const schema = z.toJSONSchema(operation.input, { io: "input", unrepresentable: "any" });
  return new Map(
    Object.entries(schema.properties ?? {}).map(([field, property]): [string, TextKind] => {
      const type = typeof property === "object" ? property.type : undefined;
      if (type === "integer" || type === "number") return [field, "number"];
      return [field, type === "boolean" ? "boolean" : "text"];
    }),
  );
}

const NUMBER = /^-?[0-9]{1,16}(?:\.[0-9]{1,16})?$/;
const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ["1", true],
  ["true", true],
  ["0", false],
  ["false", false],
]);

function fromText(kind: TextKind, text: string): unknown {
  if (kind === "number" && NUMBER.test(text)) return Number(text);
  if (kind === "boolean") return BOOLEANS.get(text) ?? text;
  return text;
}
