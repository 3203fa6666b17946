/**
 * One operation: something a user may do, described once.
 *
 * The in-process API, HTTP with its OpenAPI description and the remote client are made from this alone.
 */
import { z } from "zod";
import type { Caller } from "../access/caller.js";
import type { AccessRule } from "../access/matrix.js";
import {
  describeOperation,
  type OperationContract,
  type OperationDescription,
  type OperationKind,
} from "./description.js";
import type { HubServices } from "./services.js";

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
export interface OperationDefinition<Input extends z.ZodObject, Output extends z.ZodType, Kind extends OperationKind>
  extends OperationContract<Input, Output, Kind> {
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
> extends OperationDescription<Input, Output, Kind> {
  readonly rule: AccessRule;
  /** Every status that a success can have. */
  readonly statuses: readonly number[];
  /** The status of this success. */
  statusOf(result: OperationResult<Kind, Output>): number;
  /** Does it, as the caller of the context. */
  run(context: OperationContext, input: z.output<Input>): Promise<OperationResult<Kind, Output>>;
}

/** Operations by name. */
export type OperationTable = Readonly<Record<string, Operation>>;

/**
 * Defines an operation.
 *
 * @throws TypeError when the path or `headers` name a field that the input does not have, or what is no JSON is not read by GET.
 */
export function defineOperation<Input extends z.ZodObject, Output extends z.ZodType, Kind extends OperationKind>(
  definition: OperationDefinition<Input, Output, Kind>,
): Operation<Input, Output, Kind> {
  const { rule, status = 200 } = definition;
  return {
    ...describeOperation(definition),
    rule,
    statuses: typeof status === "number" ? [status] : status.of,
    statusOf: (result) => (typeof status === "number" ? status : status.pick(result)),
    run: (context, input) => definition.run(context, input),
  };
}
