/** Checking values that come from outside against the schema of an operation, with errors that name the field. */

import type { z } from "zod";
import { CortexError } from "@cortex-mesh/protocol/portable";

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
