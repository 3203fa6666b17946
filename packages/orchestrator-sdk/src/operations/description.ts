/**
 * What can be said of an operation without running it: name, route, schemas, kind.
 *
 * This much both sides of a connection need: the hub adds who may and how (`operation.ts`), a remote client needs no more.
 * It loads in every runtime. Input is one object; where a field travels is derived: in the path when the template names
 * it, in a header when `headers` names it, else in the query (GET, DELETE, or a body of bytes) or in the JSON body.
 */
import type { z } from "zod";

/** Methods in use. */
export type HttpMethod = "GET" | "POST" | "PUT" | "DELETE";

/**
 * What comes back: one value, events that follow each other until an end, or bytes that can be read in ranges.
 */
export type OperationKind = "json" | "events" | "bytes";

/** What an author writes of an operation, without what it does. */
export interface OperationContract<Input extends z.ZodObject, Output extends z.ZodType, Kind extends OperationKind> {
  /** camelCase; the method of the API and the `operationId`. */
  readonly name: string;
  readonly method: HttpMethod;
  /** Below the base, with `{field}` for fields of the input: `/sessions/{sessionId}/dispatch`. */
  readonly path: string;
  /** Other paths that do the same. */
  readonly aliases?: readonly string[];
  /** One line for people. */
  readonly summary: string;
  /** Path, query, header and body fields in one object; unknown keys are refused. */
  readonly input: Input;
  /**
   * Input field to header name, lower case. Two names mean something to clients: with `idempotency-key` a call may be
   * repeated, with `last-event-id` events can be resumed.
   */
  readonly headers?: Readonly<Partial<Record<keyof z.output<Input>, string>>>;
  /** Input field that takes the raw request body as `AsyncIterable<Uint8Array>`; without it the body is JSON. */
  readonly bodyField?: keyof z.output<Input> & string;
  /** The answer, or one event of it. */
  readonly output: Output;
  readonly kind: Kind;
}

/** A described operation. */
export interface OperationDescription<
  Input extends z.ZodObject = z.ZodObject,
  Output extends z.ZodType = z.ZodType,
  Kind extends OperationKind = OperationKind,
> {
  readonly name: string;
  readonly method: HttpMethod;
  readonly paths: readonly [string, ...string[]];
  readonly summary: string;
  readonly input: Input;
  readonly output: Output;
  readonly kind: Kind;
  readonly places: InputPlaces;
}

/** Where each field of the input travels. */
export interface InputPlaces {
  readonly path: readonly string[];
  readonly query: readonly string[];
  /** Fields of the JSON body. */
  readonly body: readonly string[];
  /** Field to header name. */
  readonly headers: Readonly<Record<string, string>>;
  readonly bytes: string | undefined;
}

/** Descriptions by name. */
export type DescriptionTable = Readonly<Record<string, OperationDescription>>;

/**
 * Describes an operation, for a client that does not have its implementation.
 *
 * @throws TypeError when the path or `headers` name a field that the input does not have, or what is no JSON is not read by GET.
 */
export function describeOperation<Input extends z.ZodObject, Output extends z.ZodType, Kind extends OperationKind>(
  contract: OperationContract<Input, Output, Kind>,
): OperationDescription<Input, Output, Kind> {
  const { name, method, path, aliases = [], summary, input, output, kind } = contract;
  const places = placeInput(contract);
  if (kind !== "json" && method !== "GET") throw new TypeError(`${name}: ${kind} are read by GET`);
  return {
    name,
    method,
    paths: [path, ...aliases],
    summary,
    input: input.strict() as unknown as Input,
    output,
    kind,
    places,
  };
}

/** Finds the field that travels in a header. */
export function fieldInHeader({ places }: OperationDescription, header: string): string | undefined {
  return Object.entries(places.headers).find(([, name]) => name === header)?.[0];
}

const PATH_FIELD = /\{([A-Za-z]+)\}/g;

function placeInput<Input extends z.ZodObject, Output extends z.ZodType, Kind extends OperationKind>(
  contract: OperationContract<Input, Output, Kind>,
): InputPlaces {
  const { name, method, path, aliases = [], bodyField } = contract;
  const headers = (contract.headers ?? {}) as Readonly<Record<string, string>>;
  const fields = Object.keys(contract.input.shape);
  const inPath = fieldsOf(path);
  for (const field of [...inPath, ...Object.keys(headers), ...(bodyField === undefined ? [] : [bodyField])]) {
    if (!fields.includes(field)) throw new TypeError(`${name}: the input has no field "${field}"`);
  }
  for (const alias of aliases) {
    if (fieldsOf(alias).join() !== inPath.join())
      throw new TypeError(`${name}: ${alias} names other fields than ${path}`);
  }
  const rest = fields.filter((field) => !inPath.includes(field) && !(field in headers) && field !== bodyField);
  const isInQuery = method === "GET" || method === "DELETE" || bodyField !== undefined;
  return { path: inPath, headers, bytes: bodyField, query: isInQuery ? rest : [], body: isInQuery ? [] : rest };
}

function fieldsOf(path: string): string[] {
  return [...path.matchAll(PATH_FIELD)].map((match) => match[1] ?? "");
}
