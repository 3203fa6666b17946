/**
 * The API: one method an operation, typed by its schemas; and the way to it in this process, with the same checks and
 * errors as over HTTP. The remote client has the same interface.
 */
import type { z } from "zod";
import { CortexError } from "@cortex-mesh/protocol/portable";
import type { Caller } from "../access/caller.js";
import type { DescriptionTable, OperationDescription } from "./description.js";
import { execute } from "./execute.js";
import type { ByteContent, Operation, OperationContext, OperationTable } from "./operation.js";
import type { HubServices } from "./services.js";

/** How a call can be ended early. */
export interface CallOptions {
  /** Ends the call with `CANCELLED`, events without a word, and every read of bytes that the call gave. */
  readonly signal?: AbortSignal | undefined;
}

/** What a call takes; an input without required fields may be left out. */
export type CallArguments<Op extends OperationDescription> =
  Record<string, never> extends z.input<Op["input"]>
    ? [input?: z.input<Op["input"]>, options?: CallOptions]
    : [input: z.input<Op["input"]>, options?: CallOptions];

/** What a call gives: events one by one, or a promise of the output. */
export type CallResult<Op extends OperationDescription> = Op["kind"] extends "events"
  ? AsyncIterable<z.output<Op["output"]>>
  : Promise<z.output<Op["output"]>>;

/** One method for each operation of a table. */
export type Api<Table extends DescriptionTable> = {
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
      if (operation.kind === "events") return follow(operation, context, input);
      return operation.kind === "bytes" ? open(operation, context, input) : execute(operation, context, input);
    };
    return [name, call];
  });
  return Object.fromEntries(methods) as Api<Table>;
}

/** Runs a `bytes` operation; the signal of the call also ends reads of what it gave. */
async function open(operation: Operation, context: OperationContext, input: unknown): Promise<ByteContent> {
  const content = (await execute(operation, context, input)) as ByteContent;
  return {
    sizeBytes: content.sizeBytes,
    async *read(start, end) {
      for await (const piece of content.read(start, end)) {
        if (context.signal.aborted) throw new CortexError("CANCELLED", "the caller withdrew");
        yield piece;
      }
    },
  };
}

/** Runs an `events` operation when it is first read; leaving the loop ends what it follows. */
async function* follow(operation: Operation, context: OperationContext, input: unknown): AsyncGenerator<unknown> {
  if (context.signal.aborted) return;
  const leaving = new AbortController();
  const leave = (): void => leaving.abort(context.signal.reason);
  // One signal for all who can never leave: what is added to it would only pile up.
  if (context.signal !== NEVER) context.signal.addEventListener("abort", leave, { once: true });
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
