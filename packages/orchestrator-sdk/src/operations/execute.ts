/** Runs an operation: checks the caller and the input, then hands over. Every way in goes through here. */

import type { z } from "zod";
import { CortexError, isCortexError } from "@cortex-mesh/protocol/portable";
import { assertMayAct } from "../access/matrix.js";
import type { OperationKind } from "./description.js";
import type { Operation, OperationContext, OperationResult } from "./operation.js";
import { parseInput } from "./parse-input.js";

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
  if (context.signal.aborted) throw withdrawn(context.signal.reason);
  try {
    return await operation.run(context, input);
  } catch (error) {
    // What breaks because nobody waits any more is no fault of the hub.
    if (!context.signal.aborted || isCortexError(error)) throw error;
    throw withdrawn(error);
  }
}

function withdrawn(cause: unknown): CortexError {
  return new CortexError("CANCELLED", "the caller withdrew", { cause });
}
