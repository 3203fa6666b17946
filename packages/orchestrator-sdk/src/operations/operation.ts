/**
 * One operation: something a user may do, described once.
 *
 * The in-process API, HTTP and its OpenAPI description are made from this description alone. Input is one object;
 * where a field travels is derived: in the path when the template names it, in a header when `headers` names it, else in
 * the query (GET, DELETE, or a body of bytes) or in the JSON body.
 */
import { z } from "zod";
import type { Caller } from "../access/caller.js";
import type { AccessRule } from "../access/matrix.js";
import type { HubServices } from "./services.js";

/** Methods in use. */
export type HttpMethod = "GET" | "POST" | "PUT" | "DELETE";

/**
 * What comes back: one value, events that follow each other until an end, or bytes that can be read in ranges.
 */
export type OperationKind = "json" | "events" | "bytes";

/** What an operation runs with. */
export interface OperationContext {
  readonly caller: Caller;
  readonly services: HubServices;
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

/** Events in batches that are never empty; `startId` is the cursor from which they follow, when it is known. */
export interface EventStream<Event> {
  readonly startId?: string | undefined;
  readonly batches: AsyncIterable<readonly Event[]>;
}

/** Bytes of a known size. */
export interface ByteContent {
  readonly sizeBytes: number;
  /** Reads `[start, end)` in pieces. */
  read(start: number, end: number): AsyncIterable<Uint8Array>;
}

/** Output schema of an operation of the kind `bytes`. */
export const byteContent = z.custom<ByteContent>();

/** What `run` gives for a kind and an output schema. */
export type OperationResult<Kind extends OperationKind, Output extends z.ZodType> = Kind extends "events"
  ? EventStream<z.output<Output>>
  : z.output<Output>;

/** A status that depends on the result. */
export interface StatusChoice<Result> {
  readonly of: readonly number[];
  /** Which of them this result has. */
  pick(result: Result): number;
}

/** What an author writes. */
export interface OperationDefinition<Input extends z.ZodObject, Output extends z.ZodType, Kind extends OperationKind> {
  /** camelCase; the method of the in-process API and the `operationId`. */
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
  /** Input field to header name, lower case. */
  readonly headers?: Readonly<Partial<Record<keyof z.output<Input>, string>>>;
  /** Input field that takes the raw request body as `AsyncIterable<Uint8Array>`; without it the body is JSON. */
  readonly bodyField?: keyof z.output<Input> & string;
  /** The answer, or one event of it. */
  readonly output: Output;
  readonly kind: Kind;
  /** Of a success: one, or the possible ones and which it is. @default 200 */
  readonly status?: number | StatusChoice<OperationResult<Kind, Output>>;
  readonly rule: AccessRule;
  /** Does it, as the caller of the context. */
  run(context: OperationContext, input: z.output<Input>): Promise<OperationResult<Kind, Output>>;
}

/** An operation as the parts of the hub read it. */
export interface Operation<
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
  readonly rule: AccessRule;
  readonly places: InputPlaces;
  /** Every status that a success can have. */
  readonly statuses: readonly number[];
  /** The status of this success. */
  statusOf(result: OperationResult<Kind, Output>): number;
  /** Does it, as the caller of the context. */
  run(context: OperationContext, input: z.output<Input>): Promise<OperationResult<Kind, Output>>;
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

/** Operations by name. */
export type OperationTable = Readonly<Record<string, Operation>>;

/**
 * Describes an operation.
 *
 * @throws TypeError when the path or `headers` name a field that the input does not have, or events are not read by GET.
 */
export function defineOperation<Input extends z.ZodObject, Output extends z.ZodType, Kind extends OperationKind>(
  definition: OperationDefinition<Input, Output, Kind>,
): Operation<Input, Output, Kind> {
  const { name, method, path, aliases = [], summary, output, kind, rule, status = 200 } = definition;
  const places = placeInput(definition);
  if (kind !== "json" && method !== "GET") throw new TypeError(`${name}: ${kind} are read by GET`);
  return {
    name,
    method,
    paths: [path, ...aliases],
    summary,
    input: definition.input.strict() as unknown as Input,
    output,
    kind,
    rule,
    places,
    statuses: typeof status === "number" ? [status] : status.of,
    statusOf: (result) => (typeof status === "number" ? status : status.pick(result)),
    run: (context, input) => definition.run(context, input),
  };
}

const PATH_FIELD = /\{([A-Za-z]+)\}/g;

function placeInput<Input extends z.ZodObject, Output extends z.ZodType, Kind extends OperationKind>(
  definition: OperationDefinition<Input, Output, Kind>,
): InputPlaces {
  const { name, method, path, aliases = [], bodyField } = definition;
  const headers = (definition.headers ?? {}) as Readonly<Record<string, string>>;
  const fields = Object.keys(definition.input.shape);
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
