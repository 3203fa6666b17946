/** Checking a value against a schema of any library that implements Standard Schema. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { CortexError, type CortexErrorCode } from "../errors.js";

/** How a value that does not fit is reported. */
export interface ValidateOptions {
  /** What the value is; the first part of each path. @default "input" */
  readonly name?: string;
  /** @default "BAD_REQUEST" */
  readonly code?: CortexErrorCode;
}

/** A message names this many problems, and is no longer than this. */
const MAX_PROBLEMS = 3;
const MAX_MESSAGE_CHARS = 1000;

/**
 * Gives the value as the schema gives it (with defaults and transformations).
 *
 * @throws CortexError `BAD_REQUEST`, naming the path of what does not fit; `details.path` is the first one.
 */
export async function validateWith<Schema extends StandardSchemaV1>(
  schema: Schema,
  value: unknown,
  options: ValidateOptions = {},
): Promise<StandardSchemaV1.InferOutput<Schema>> {
  const result = await schema["~standard"].validate(value);
  if (result.issues === undefined) return result.value;
  const name = options.name ?? "input";
  const problems = result.issues.slice(0, MAX_PROBLEMS).map((issue) => `${pathOf(name, issue)}: ${issue.message}`);
  const more = result.issues.length > MAX_PROBLEMS ? ` (and ${result.issues.length - MAX_PROBLEMS} more)` : "";
  const first = result.issues[0];
  throw new CortexError(options.code ?? "BAD_REQUEST", `${problems.join("; ").slice(0, MAX_MESSAGE_CHARS)}${more}`, {
    details: { path: first === undefined ? name : pathOf(name, first) },
  });
}

function pathOf(name: string, issue: StandardSchemaV1.Issue): string {
  const keys = (issue.path ?? []).map((segment) => String(typeof segment === "object" ? segment.key : segment));
  return [name, ...keys].join(".").slice(0, 200);
}
