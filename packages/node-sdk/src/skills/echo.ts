/** The skill `echo`: writes a text to standard output and gives it back; shows that a node works, and how a skill looks. */

import { z } from "zod";
import { defineSkill, type SkillImplementation } from "@cortex-mesh/protocol";

/** The contract of `echo`. */
export const echoSkill = defineSkill("echo", {
  description: "Writes a text to standard output and gives it back.",
  input: z.strictObject({ text: z.string() }),
  output: z.strictObject({ text: z.string() }),
});

/** Makes the skill `echo` for a node. */
export function echo(): SkillImplementation {
  return echoSkill.implement(async ({ input, output }) => {
    await output.stdout(input.text);
    return { text: input.text };
  });
}
