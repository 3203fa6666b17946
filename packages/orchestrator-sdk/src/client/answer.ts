/** Checks what a hub answered against the schema of the operation, so that callers can rely on its type. */
import type { z } from "zod";
import { CortexError } from "@cortex-mesh/protocol/portable";
import type { OperationDescription } from "../operations/description.js";

/** Rounds of removing unknown keys; each goes at least one level deeper. */
const MAX_ROUNDS = 16;

/**
 * Narrows an answer. Fields that this build does not know are left out: a newer hub may say more.
 *
 * @throws CortexError `INTERNAL` when it does not fit otherwise.
 */
export function parseAnswer(operation: OperationDescription, value: unknown): unknown {
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const parsed = operation.output.safeParse(value);
    if (parsed.success) return parsed.data;
    const { issues } = parsed.error;
    const isUnknownOnly = issues.every((issue) => issue.code === "unrecognized_keys" && canRemove(value, issue));
    if (!isUnknownOnly) throw misfit(operation, issues[0]);
  }
  throw misfit(operation, undefined);
}

/** Removes the keys of an issue from what was parsed from JSON just now, and belongs to nobody else. */
function canRemove(value: unknown, issue: z.core.$ZodIssue): boolean {
  if (issue.code !== "unrecognized_keys") return false;
  const at = issue.path.reduce<unknown>(
    (part, key) =>
      typeof part === "object" && part !== null ? (part as Record<PropertyKey, unknown>)[key] : undefined,
    value,
  );
  if (typeof at !== "object" || at === null) return false;
  return issue.keys.every((key) => Reflect.deleteProperty(at, key));
}

function misfit({ name }: OperationDescription, issue: z.core.$ZodIssue | undefined): CortexError {
  const place = issue === undefined || issue.path.length === 0 ? "" : ` at ${issue.path.map(String).join(".")}`;
  return new CortexError(
    "INTERNAL",
    `${name}: the answer of the hub does not fit${place}: ${issue?.message ?? "unknown"}`,
  );
}
