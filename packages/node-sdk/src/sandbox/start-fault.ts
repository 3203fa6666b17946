/**
 * Turns what the system says when a process cannot be started into an error that tells what to change.
 *
 * The system gives one code for several faults (`ENOENT` for the program, its interpreter and the directory), so the
 * directory is checked before and the rest told apart after.
 */
import { accessSync, constants, existsSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { CortexError, type CortexErrorCode } from "@cortex-mesh/protocol";

/** Refuses a working directory that is missing or closed. */
export function assertWorkingDirectory(cwd: string): void {
  let fault: string;
  try {
    if (statSync(cwd).isDirectory()) {
      accessSync(cwd, constants.X_OK);
      return;
    }
    fault = "is no directory";
  } catch (error) {
    fault = (error as NodeJS.ErrnoException).code === "EACCES" ? "may not be entered" : "does not exist";
  }
  throw new CortexError("BAD_REQUEST", `cwd: "${cwd}" ${fault}`, { details: { cwd } });
}

/** The error of a program that could not be started in `cwd`. */
export function startFault(error: unknown, program: string, cwd: string): CortexError {
  const code = (error as NodeJS.ErrnoException).code ?? "UNKNOWN";
  const [cortexCode, message] = describeFault(code, program, cwd);
  return new CortexError(cortexCode, message, { details: { program, systemCode: code }, cause: error });
}

function describeFault(code: string, program: string, cwd: string): [CortexErrorCode, string] {
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      if (!program.includes("/")) return ["COMMAND_NOT_FOUND", `there is no program "${program}" on the task's PATH`];
      if (!existsSync(resolve(cwd, program))) return ["COMMAND_NOT_FOUND", `there is no program "${program}"`];
      return ["COMMAND_NOT_FOUND", `the interpreter that "${program}" names in its first line is missing`];
    case "EACCES":
    case "EPERM":
      return ["COMMAND_NOT_FOUND", `"${program}" may not be executed`];
    case "ENOEXEC":
      return ["COMMAND_NOT_FOUND", `"${program}" is no program for this system`];
    case "E2BIG":
      return ["TOO_LARGE", "arguments and environment are larger than what the system passes to a program"];
    case "ERR_INVALID_ARG_VALUE":
    case "ERR_INVALID_ARG_TYPE":
      return ["BAD_REQUEST", "program and arguments must be strings without NUL, and the program not empty"];
    default:
      // EAGAIN, ENOMEM, EMFILE and the like: no room now, maybe later.
      return ["UNAVAILABLE", `"${program}" could not be started: ${code}`];
  }
}
