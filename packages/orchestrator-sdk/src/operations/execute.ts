/** Runs an operation: checks the caller and the input, then hands over. Every way in goes through here. */

import type { z } from "zod";
import { CortexError, isCortexError } from "@cortex-mesh/protocol";
import { assertMayAct } from "../access/matrix.js";
import type { Operation, OperationContext, OperationKind, OperationResult } from "./operation.js";

/**
 * Checks `rawInput` against the operation's schema and runs it.
 *
 * @throws CortexError `BAD_REQUEST`, naming the field; `CANCELLED` when the caller withdrew; and what the
 * operation throws.
 */
export async function execute<Input extends z.ZodObject, Output extends z.ZodType, Kind extends OperationKind>(
  operation: Operation<Input, Output, Kind>,
  context: OperationContext,
  rawInput: unknown,
): Promise<OperationResult<Kind, Output>> {
  assertMayAct(operation.rule, context.caller);
  const input = parseInput(operation.input, rawInput);
  try {
    return await operation.run(context, input);
  } catch (error) {
    // What breaks because nobody waits any more is no fault of the hub.
    if (!context.signal.aborted || isCortexError(error)) throw error;
    throw new CortexError("CANCELLED", "the caller withdrew", { cause: error });
  }
}

/**
 * Narrows a value from outside.
 *
 * @throws CortexError `BAD_REQUEST` with the path of the first field that does not fit, in the message and in `details.field`.
 */
export function parseInput<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const field = issue === undefined ? "" : fieldOf(issue);
  const message = issue?.message ?? "the request does not fit its schema";
  throw new CortexError("BAD_REQUEST", field === "" ? message : `${field}: ${message}`, { details: { field } });
}

/** Longest field name that is repeated to the caller. */
const MAX_FIELD_CHARACTERS = 200;

function fieldOf(issue: z.core.$ZodIssue): string {
  const path = issue.code === "unrecognized_keys" ? [...issue.path, ...issue.keys.slice(0, 1)] : issue.path;
  return path.map(String).join(".").slice(0, MAX_FIELD_CHARACTERS);
}
