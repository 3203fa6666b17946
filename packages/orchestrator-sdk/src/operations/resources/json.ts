/** JSON values inside resources and requests: checked without recursion, so that deep nesting cannot exhaust the stack. */
import { z } from "zod";
import type { Json, JsonObject } from "../../store/records.js";

/** Nesting of a JSON value that is accepted; far above what a skill's input needs. */
export const MAX_JSON_DEPTH = 64;

const MESSAGE = `must be JSON, nested at most ${MAX_JSON_DEPTH} deep, with valid Unicode`;

/** Any JSON value. */
export const json: z.ZodType<Json, Json> = z.custom<Json>(isJson, MESSAGE);

/** Any JSON object. */
export const jsonObject: z.ZodType<JsonObject, JsonObject> = z
  .custom<JsonObject>((value) => isPlainObject(value) && isJson(value), MESSAGE)
  .meta({ type: "object" });

/** Whether `value` is JSON within the depth limit. Cost: O(size). */
export function isJson(value: unknown): value is Json {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > MAX_JSON_DEPTH) return false;
    const next: unknown[] = [];
    for (const item of level) {
      if (Array.isArray(item)) for (const element of item) next.push(element);
      else if (isPlainObject(item)) for (const [key, field] of Object.entries(item)) next.push(key, field);
      else if (!isScalar(item)) return false;
    }
    level = next;
  }
  return true;
}

const UNPAIRED_SURROGATE = /\p{Surrogate}/u;

function isScalar(value: unknown): boolean {
  if (typeof value === "string") return !UNPAIRED_SURROGATE.test(value);
  return value === null || typeof value === "boolean" || (typeof value === "number" && Number.isFinite(value));
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
