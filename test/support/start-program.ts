/** Starts the built programs within a test: one that is still there when the test is over is killed. */
import { onTestFinished } from "vitest";
import {
  type Line,
  launchProgram,
  type ProgramName,
  type StartedProgram,
  type StartProgramOptions,
} from "./launch-program.js";

/** Starts `cortex-hub` or `cortex-node`. To call within a test. */
export function startProgram(
  name: ProgramName,
  args: readonly string[],
  options: StartProgramOptions = {},
): StartedProgram {
  const program = launchProgram(name, args, options);
  onTestFinished(() => void program.child.kill("SIGKILL"));
  return program;
}

/** Runs a program to its end. */
export async function runProgram(
  name: ProgramName,
  args: readonly string[],
  options: StartProgramOptions = {},
): Promise<{ readonly status: number; readonly lines: readonly Line[]; readonly stderr: string }> {
  const program = startProgram(name, args, options);
  const status = await program.exited;
  return { status, lines: program.lines, stderr: program.stderr() };
}
