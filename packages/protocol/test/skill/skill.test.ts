import type { StandardSchemaV1 } from "@standard-schema/spec";
import { describe, expect, expectTypeOf, it } from "vitest";
import { z } from "zod";
import { isCortexError } from "../../src/errors.js";
import type { SkillContext } from "../../src/skill/context.js";
import { defineSkill, isSkillName, type SkillInput, type SkillResult } from "../../src/skill/skill.js";
import { validateWith } from "../../src/skill/validate.js";

const count = defineSkill("word-count", {
  description: "Counts words.",
  input: z.object({ path: z.string(), unit: z.enum(["words", "lines"]).default("words") }),
  output: z.object({ words: z.number().int() }),
});

const context = (input: unknown): SkillContext => ({
  input,
  taskId: "task_01J0000000000000000000000C",
  workspace: "/work",
  cwd: "/work",
  env: {},
  stdin: (async function* () {})(),
  output: { stdout: async () => {}, stderr: async () => {} },
  progress: () => {},
  signal: new AbortController().signal,
});

const refusalOf = async (work: Promise<unknown>) => {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return isCortexError(error) ? { code: error.code, message: error.message, path: error.details["path"] } : error;
};

describe("a skill", () => {
  it("E1: runs with its input checked and defaults filled in", async () => {
    const skill = count.implement(({ input, workspace }) => ({
      words: `${workspace}/${input.path} ${input.unit}`.length,
    }));
    expect(await skill.run(context({ path: "a.md" }))).toEqual({ value: { words: "/work/a.md words".length } });
  });

  it("E1: input that does not fit is refused by its path, and the code never runs", async () => {
    let hasRun = false;
    const skill = count.implement(() => {
      hasRun = true;
      return { words: 1 };
    });
    expect(await refusalOf(skill.run(context({ path: 7 })))).toMatchObject({ code: "BAD_REQUEST", path: "input.path" });
    expect(hasRun).toBe(false);
  });

  it("E1: a result that does not fit is the skill's fault, not the caller's", async () => {
    const skill = count.implement(() => ({ words: 1.5 }));
    expect(await refusalOf(skill.run(context({ path: "a" })))).toMatchObject({
      code: "INTERNAL",
      path: "result of word-count.words",
    });
  });

  it("E1: what a skill throws arrives as it is", async () => {
    const fault = new TypeError("no such file");
    const skill = count.implement(() => Promise.reject(fault));
    expect(await refusalOf(skill.run(context({ path: "a" })))).toBe(fault);
  });

  it("E6: describes itself with the JSON Schemas of what goes in and comes out", () => {
    const skill = count.implement(() => ({ words: 1 }));
    expect(skill).toMatchObject({ name: "word-count", version: "1.0.0", description: "Counts words." });
    expect(skill.inputJsonSchema).toMatchObject({ type: "object", required: ["path"] });
    expect(skill.outputJsonSchema).toMatchObject({ properties: { words: { type: "integer" } } });
  });

  it("E1: takes any Standard Schema, with JSON Schemas by hand where the library has none", async () => {
    const text: StandardSchemaV1<string> = {
      "~standard": {
        version: 1,
        vendor: "by-hand",
        validate: async (value) =>
          typeof value === "string" ? { value } : { issues: [{ message: "not text", path: [{ key: "a" }, 0] }] },
      },
    };
    const plain = defineSkill("plain", { input: text, output: text });
    expect(plain.inputJsonSchema).toBeUndefined();
    const described = defineSkill("plain", { input: text, output: text, jsonSchema: { input: { type: "string" } } });
    expect(described.inputJsonSchema).toEqual({ type: "string" });
    const skill = plain.implement(({ input }) => input.toUpperCase());
    expect(await skill.run(context("hi"))).toEqual({ value: "HI" });
    expect(await refusalOf(skill.run(context(1)))).toMatchObject({
      code: "BAD_REQUEST",
      message: "input.a.0: not text",
    });
  });

  it("E1: a schema with code in it has no description and validates all the same", async () => {
    const length = z.string().transform((text) => text.length);
    expect(defineSkill("length", { input: z.string(), output: length }).outputJsonSchema).toBeUndefined();
    expect(await validateWith(length, "four")).toBe(4);
  });

  it("E1: a refusal names at most three problems", async () => {
    const schema = z.object({ a: z.string(), b: z.string(), c: z.string(), d: z.string() });
    const refused = await refusalOf(validateWith(schema, {}, { name: "body" }));
    expect(refused).toMatchObject({ path: "body.a", message: expect.stringMatching(/body\.c: .*\(and 1 more\)$/) });
  });

  it.each(["word-count", "git.clone", "a", "x1_y2"])("E1: %s is the name of a skill", (name) => {
    expect(isSkillName(name)).toBe(true);
  });

  it.each(["", "Word", "-a", "a-", "a--b", "a b", "../a", "a".repeat(65)])(
    "E1: %j is not the name of a skill",
    (name) => {
      expect(() => defineSkill(name, { input: z.string(), output: z.string() })).toThrow(RangeError);
    },
  );
});

describe("the types of a skill", () => {
  it("E1: input and result are inferred through the contract and its implementation", () => {
    expectTypeOf<SkillInput<typeof count>>().toEqualTypeOf<{ path: string; unit?: "words" | "lines" | undefined }>();
    expectTypeOf<SkillResult<typeof count>>().toEqualTypeOf<{ words: number }>();
    count.implement((run) => {
      expectTypeOf(run.input).toEqualTypeOf<{ path: string; unit: "words" | "lines" }>();
      expectTypeOf(run.signal).toEqualTypeOf<AbortSignal>();
      return { words: 1 };
    });
    // @ts-expect-error a result of another shape does not compile
    count.implement(() => ({ word: 1 }));
  });
});
