/**
 * The skill `shell`: a command line for the node's shell, or a program with its arguments, in the task's sandbox.
 */

import { z } from "zod";
import { defineSkill, validateWith } from "@cortex-mesh/protocol";
import type { ProgramSpec, RunningProcess } from "../sandbox/driver.js";
import type { NodeSkill, SkillRequest, StartedSkill } from "./node-skill.js";

const text = z.string().refine((value) => !value.includes("\0"), "must not hold NUL");
const someText = text.refine((value) => value !== "", "must not be empty");

/** Exactly one of a command line and a list of arguments. */
const shellInput = z.union([
  z.strictObject({ command: someText }),
  z.strictObject({ argv: z.tuple([someText], text) }),
]);

/** The contract of `shell`. A run has no value; its exit code is the task's. */
export const shellSkill = defineSkill("shell", {
  description: "Runs a command line (command), or a program without a shell (argv).",
  input: shellInput,
  output: z.null(),
});

/** Makes the skill `shell` for a node. */
export function shell(): NodeSkill {
  return {
    name: shellSkill.name,
    version: shellSkill.version,
    description: shellSkill.description,
    inputJsonSchema: shellSkill.inputJsonSchema,
    outputJsonSchema: shellSkill.outputJsonSchema,
    async start(request) {
      const program: ProgramSpec = await validateWith(shellInput, request.input);
      return follow(await startProcess(request, program), request.hasInput);
    },
  };
}

function startProcess(request: SkillRequest, program: ProgramSpec): Promise<RunningProcess> {
  return request.driver.start({
    taskId: request.taskId,
    attempt: request.attempt,
    program,
    workspacePath: request.workspacePath,
    cwd: request.cwd,
    env: request.env,
    stdin: request.hasInput,
  });
}

function follow(process: RunningProcess, hasInput: boolean): StartedSkill {
  return {
    isolation: process.isolation,
    outputs: new Map([
      ["stdout", process.stdout],
      ["stderr", process.stderr],
    ]),
    input: hasInput ? { write: (bytes) => process.writeInput(bytes), end: () => process.endInput() } : undefined,
    ended: process.exited.then(({ exitCode, signal }) => ({ value: null, process: { exitCode, signal } })),
    async stop(graceMs) {
      try {
        await process.terminate({ graceMs });
      } catch {
        // Processes that outlive KILL are the system's to end; the task has ended for its user all the same.
      }
    },
  };
}
