/**
 * The in-process API: one method an operation, typed by its schemas, with the same checks and errors as over HTTP.
 */
import type { z } from "zod";
import type { Caller } from "../access/caller.js";
import { execute } from "./execute.js";
import type { Operation, OperationContext, OperationTable } from "./operation.js";
import type { HubServices } from "./services.js";

/** How a call can be ended early. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

/** What a call takes; an input without required fields may be left out. */
export type CallArguments<Op extends Operation> =
  Record<string, never> extends z.input<Op["input"]>
    ? [input?: z.input<Op["input"]>, options?: CallOptions]
    : [input: z.input<Op["input"]>, options?: CallOptions];

/** What a call gives: events one by one, or a promise of the output. */
export type CallResult<Op extends Operation> = Op["kind"] extends "events"
  ? AsyncIterable<z.output<Op["output"]>>
  : Promise<z.output<Op["output"]>>;

/** One method for each operation of a table. */
export type Api<Table extends OperationTable> = {
  readonly [Name in keyof Table]: (...call: CallArguments<Table[Name]>) => CallResult<Table[Name]>;
};

/** A signal that never aborts. */
const NEVER: AbortSignal = new AbortController().signal;

/** Makes the API of `table` for one caller. */
export function createApi<Table extends OperationTable>(
  table: Table,
  services: HubServices,
  caller: Caller,
): Api<Table> {
  const methods = Object.entries(table).map(([name, operation]) => {
    const call = (input: unknown = {}, options: CallOptions = {}) => {
      const context: OperationContext = { caller, services, signal: options.signal ?? NEVER };
      return operation.kind === "events" ? follow(operation, context, input) : execute(operation, context, input);
    };
    return [name, call];
  });
  return Object.fromEntries(methods) as Api<Table>;
}

/** Runs an `events` operation when it is first read; leaving the loop ends what it follows. */
async function* follow(operation: Operation, context: OperationContext, input: unknown): AsyncGenerator<unknown> {
  const leaving = new AbortController();
  const leave = (): void => leaving.abort(context.signal.reason);
  context.signal.addEventListener("abort", leave, { once: true });
  if (context.signal.aborted) leave();
  try {
    const stream = await execute(
      operation as Operation<z.ZodObject, z.ZodType, "events">,
      { ...context, signal: leaving.signal },
      input,
    );
    for await (const batch of stream.batches) yield* batch;
  } finally {
    context.signal.removeEventListener("abort", leave);
    leaving.abort();
  }
}
