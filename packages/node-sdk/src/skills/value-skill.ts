/**
 * Runs a skill that is a function of the node's builder: trusted code, in the node's own process, without a sandbox.
 *
 * A function cannot be killed. When it is told to stop and does not within the grace, the task ends without it and what
 * it still writes goes nowhere.
 */
import {
  type Clock,
  CortexError,
  isCortexError,
  type SkillContext,
  type SkillEnd,
  type SkillImplementation,
} from "@cortex-mesh/protocol";
import { type IsolationReport, unisolatedReport } from "../sandbox/report.js";
import { createInputChannel } from "./input-channel.js";
import type { NodeSkill, SkillRequest, StartedSkill } from "./node-skill.js";
import { createOrderedWriter, type OrderedWriter } from "./ordered-writer.js";

/** Makes an implemented skill runnable. */
export function valueSkill(implementation: SkillImplementation, clock: Clock): NodeSkill {
  const { name, version, description, inputJsonSchema, outputJsonSchema } = implementation;
  return {
    name,
    version,
    description,
    inputJsonSchema,
    outputJsonSchema,
    start: (request) => startValueSkill(implementation, request, clock),
  };
}

/** Whether a skill is implemented as a function. */
export function isValueSkill(skill: NodeSkill | SkillImplementation): skill is SkillImplementation {
  return "run" in skill;
}

async function startValueSkill(
  implementation: SkillImplementation,
  request: SkillRequest,
  clock: Clock,
): Promise<StartedSkill> {
  const input = createInputChannel();
  if (!request.hasInput) input.end();
  const aborter = new AbortController();
  const writer = createOrderedWriter(request);
  const context: SkillContext = {
    input: request.input,
    taskId: request.taskId,
    workspace: request.workspacePath,
    cwd: request.cwd,
    env: request.env,
    stdin: input.stream,
    output: { stdout: (data) => writer.write("stdout", data), stderr: (data) => writer.write("stderr", data) },
    progress: (value) => writer.progress(value),
    signal: aborter.signal,
  };
  const run = runToEnd(implementation, context, writer);
  let giveUp = (): void => {};
  const ended = new Promise<SkillEnd>((resolve, reject) => {
    run.then(resolve, reject);
    giveUp = () => reject(new CortexError("CANCELLED", "the skill did not stop in time"));
  }).finally(() => {
    input.close();
    writer.close();
  });
  // Its owner looks at it after the start; until then a rejection is not unhandled.
  ended.catch(() => {});
  await refusedInput(run);
  return {
    isolation: functionReport(request.workspacePath),
    outputs: new Map(),
    input: request.hasInput ? input : undefined,
    ended,
    async stop(graceMs) {
      aborter.abort(new CortexError("CANCELLED", "the task was told to stop"));
      await endsWithin(run, clock, graceMs);
      giveUp();
    },
  };
}

async function runToEnd(
  implementation: SkillImplementation,
  context: SkillContext,
  writer: OrderedWriter,
): Promise<SkillEnd> {
  const end = await implementation.run(context);
  await writer.flushed();
  return end;
}

/** Throws when the skill refuses its input in the first turn, which is before any of its own code ran. */
async function refusedInput(run: Promise<SkillEnd>): Promise<void> {
  const failure = run.then(
    () => undefined,
    (error: unknown) => error,
  );
  const turn = new Promise<undefined>((resolve) => void setImmediate(resolve, undefined));
  const first = await Promise.race([failure, turn]);
  if (!isCortexError(first) || first.code !== "BAD_REQUEST") return;
  const path = first.details["path"];
  if (typeof path === "string" && (path === "input" || path.startsWith("input."))) throw first;
}

function endsWithin(run: Promise<SkillEnd>, clock: Clock, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = clock.setTimer(resolve, graceMs);
    const done = (): void => {
      timer.cancel();
      resolve();
    };
    run.then(done, done);
  });
}

function functionReport(workspacePath: string): IsolationReport {
  return { ...unisolatedReport(workspacePath, process.geteuid?.()), driver: "function" };
}
