/** The JSON Schema of a skill's input or output, for people and models that read it. */
import type { StandardJSONSchemaV1, StandardSchemaV1 } from "@standard-schema/spec";

/** A JSON Schema document (2020-12). */
export type JsonSchema = Readonly<Record<string, unknown>>;

/**
 * Asks a schema for its JSON Schema, as one sees it from outside: what may be sent in, and what comes out.
 *
 * Undefined when the library has none to give (it is optional in Standard Schema), or not for this schema.
 */
export function toJsonSchema(schema: StandardSchemaV1, side: "input" | "output"): JsonSchema | undefined {
  const standard: Partial<StandardJSONSchemaV1.Props> = schema["~standard"];
  try {
    return standard.jsonSchema?.[side]({ target: "draft-2020-12" });
  } catch {
    // A schema with code in it (a transformation) has no description; it validates all the same.
    return undefined;
  }
}
