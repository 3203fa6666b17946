/**
 * The contract of a skill: its name and the shapes of input and output, shared by those who call it and those who run it.
 *
 * Schemas are of any library that implements Standard Schema. The caller's types are the schema's outer ones (what is
 * sent, what comes back); the implementation sees the input after defaults and transformations.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { SkillContext, SkillEnd } from "./context.js";
import { type JsonSchema, toJsonSchema } from "./json-schema.js";
import { validateWith } from "./validate.js";

/** What {@link defineSkill} takes. */
export interface SkillDefinition<Input extends StandardSchemaV1, Output extends StandardSchemaV1> {
  readonly input: Input;
  readonly output: Output;
  /** One sentence for people and models that choose a skill. */
  readonly description?: string;
  /** Version of the contract. @default "1.0.0" */
  readonly version?: string;
  /** JSON Schemas, for a schema library that does not give them. */
  readonly jsonSchema?: { readonly input?: JsonSchema; readonly output?: JsonSchema };
}

/** What is known of a skill without its types; a node registers it, a hub shows it. */
export interface SkillDescription {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly inputJsonSchema: JsonSchema | undefined;
  readonly outputJsonSchema: JsonSchema | undefined;
}

/** A skill that a node can run. Values in and out are JSON. */
export interface SkillImplementation extends SkillDescription {
  /**
   * Runs it once.
   *
   * @throws CortexError `BAD_REQUEST` when the input does not fit, `INTERNAL` when the result does not; and
   * whatever the skill throws.
   */
  run(context: SkillContext): Promise<SkillEnd>;
}

/** Code of a skill: input as checked, result as the schema takes it. */
export type SkillRun<Input extends StandardSchemaV1, Output extends StandardSchemaV1> = (
  context: SkillContext<StandardSchemaV1.InferOutput<Input>>,
) => StandardSchemaV1.InferInput<Output> | Promise<StandardSchemaV1.InferInput<Output>>;

/** The contract of a skill. */
export interface Skill<
  Input extends StandardSchemaV1 = StandardSchemaV1,
  Output extends StandardSchemaV1 = StandardSchemaV1,
> extends SkillDescription {
  readonly input: Input;
  readonly output: Output;
  /** Adds the code, for a node. */
  implement(run: SkillRun<Input, Output>): SkillImplementation;
}

/** What a caller of a skill sends. */
export type SkillInput<S extends Skill> = StandardSchemaV1.InferInput<S["input"]>;
/** What a caller of a skill gets. */
export type SkillResult<S extends Skill> = StandardSchemaV1.InferOutput<S["output"]>;

/** Longest name of a skill, in characters. */
export const MAX_SKILL_NAME_CHARS = 64;

const SKILL_NAME = /^[a-z][a-z0-9]*([._-][a-z0-9]+)*$/;

/** Whether a text is the name of a skill: `a-z 0-9`, in words joined by `. _ -`, at most 64 characters. */
export function isSkillName(name: string): boolean {
  return name.length <= MAX_SKILL_NAME_CHARS && SKILL_NAME.test(name);
}

/**
 * Defines a skill.
 *
 * @throws RangeError when the name is not a skill's name.
 *
 * @example
 * ```ts
 * const count = defineSkill("word-count", {
 *   input: z.object({ path: z.string() }),
 *   output: z.object({ words: z.number() }),
 * });
 * const wordCount = count.implement(async ({ input, workspace }) => ({ words: await countWords(workspace, input.path) }));
 * ```
 */
export function defineSkill<Input extends StandardSchemaV1, Output extends StandardSchemaV1>(
  name: string,
  definition: SkillDefinition<Input, Output>,
): Skill<Input, Output> {
  if (!isSkillName(name)) throw new RangeError(`"${name.slice(0, MAX_SKILL_NAME_CHARS)}" is not the name of a skill`);
  const { input, output } = definition;
  const description: SkillDescription = {
    name,
    version: definition.version ?? "1.0.0",
    description: definition.description ?? "",
    inputJsonSchema: definition.jsonSchema?.input ?? toJsonSchema(input, "input"),
    outputJsonSchema: definition.jsonSchema?.output ?? toJsonSchema(output, "output"),
  };
  return {
    ...description,
    input,
    output,
    implement: (run) => ({
      ...description,
      run: async (context) => {
        const checked = await validateWith(input, context.input);
        const result = await run({ ...context, input: checked });
        return { value: await validateWith(output, result, { name: `result of ${name}`, code: "INTERNAL" }) };
      },
    }),
  };
}
