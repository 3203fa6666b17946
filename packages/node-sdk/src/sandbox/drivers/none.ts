/**
 * The driver without a sandbox: a process with the rights of the node's own user.
 *
 * It keeps the promises of the contract that need no isolation: clean environment and descriptors, exact output with
 * back-pressure, an end of the whole tree. It runs in its own session and carries the marker of its attempt.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync } from "node:fs";
import type { Socket } from "node:net";
import { type Clock, CortexError, systemClock } from "@cortex-mesh/protocol";
import { findShell } from "../../health/find-program.js";
import type { ProcessExit, ProcessSpec, ProgramSpec, RunningProcess, SandboxDriver } from "../driver.js";
import { createInputPipe } from "../input-pipe.js";
import { markerVariables, taskMarker } from "../marker.js";
import { createOutputPipe } from "../output-pipe.js";
import type { Pipe, PipePool } from "../pipe-pool.js";
import { createProcessTree } from "../process-tree.js";
import { unisolatedReport } from "../report.js";
import { assertWorkingDirectory, startFault } from "../start-fault.js";
import { createTreeEnd } from "../tree-end.js";

/** What {@link createNoneDriver} needs. */
export interface NoneDriverOptions {
  /** Names the node's state; the same after a restart, so that leftovers are found. */
  readonly nodeId: string;
  /** Where the standard streams come from. Without, they are Node's sockets, which `/dev/stdout` cannot open. */
  readonly pipes?: PipePool;
  /** @default systemClock */
  readonly clock?: Clock;
}

/** Makes the driver of level `none`. */
export function createNoneDriver(options: NoneDriverOptions): SandboxDriver {
  const clock = options.clock ?? systemClock;
  return {
    name: "none",
    async start(spec) {
      assertWorkingDirectory(spec.cwd);
      const marker = taskMarker(options.nodeId, spec.taskId, spec.attempt);
      const [program, ...args] = toArgv(spec.program, spec.env["PATH"] ?? "");
      if (program === undefined || program === "") throw new CortexError("BAD_REQUEST", "argv must name a program");
      const pipes = await takePipes(options.pipes, spec.stdin);
      const env = { ...spec.env, ...markerVariables(marker) };
      const child = await spawnChild({ cwd: spec.cwd, env, program, args, pipes });
      return attach({ child, pipes, spec, clock, marker });
    },
  };
}

/** Standard input, output and error; undefined stands for a pipe of Node's own. */
interface StandardPipes {
  readonly stdin: Pipe | "ignore" | undefined;
  readonly stdout: Pipe | undefined;
  readonly stderr: Pipe | undefined;
}

async function takePipes(pool: PipePool | undefined, hasInput: boolean): Promise<StandardPipes> {
  const taken: (Pipe | undefined)[] = [];
  try {
    for (const own of ["read", "read", "write"] as const) {
      if (own === "read" || hasInput) taken.push(await pool?.take(own));
    }
  } catch (error) {
    for (const pipe of taken) releasePipe(pipe);
    throw new CortexError("UNAVAILABLE", "no pipe could be opened for the task", { cause: error });
  }
  const [stdout, stderr, stdin] = taken;
  return { stdin: hasInput ? stdin : "ignore", stdout, stderr };
}

function releasePipe(pipe: Pipe | undefined): void {
  if (pipe === undefined) return;
  closeSync(pipe.descriptor);
  pipe.socket.destroy();
}

/** The arguments that run a program: a `command` by the shell, without the startup files of a user. */
function toArgv(program: ProgramSpec, path: string): readonly string[] {
  if ("argv" in program) return program.argv;
  const shell = findShell(path);
  if (shell === undefined) throw new CortexError("COMMAND_NOT_FOUND", "this node has neither bash nor sh");
  const flags = shell.name === "bash" ? ["--noprofile", "--norc"] : [];
  return [shell.path, ...flags, "-c", program.command];
}

interface StartedChild extends ChildProcess {
  readonly pid: number;
}

interface SpawnPlan {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly program: string;
  readonly args: readonly string[];
  readonly pipes: StandardPipes;
}

/** Resolves in the turn in which the process was made: nothing can have been waited for yet. */
function spawnChild({ cwd, env, program, args, pipes }: SpawnPlan): Promise<StartedChild> {
  const { stdin, stdout, stderr } = pipes;
  const taken = [stdin, stdout, stderr].filter((pipe) => pipe !== undefined && pipe !== "ignore");
  return new Promise<StartedChild>((resolve, reject) => {
    const fail = (error: unknown): void => {
      for (const pipe of taken) pipe.socket.destroy();
      reject(startFault(error, program, cwd));
    };
    try {
      const child = spawn(program, args, {
        cwd,
        env,
        // Its own session, so that its group can be signalled and no terminal of the node is its own.
        detached: true,
        stdio: [
          stdin === "ignore" ? "ignore" : (stdin?.descriptor ?? "pipe"),
          stdout?.descriptor ?? "pipe",
          stderr?.descriptor ?? "pipe",
        ],
      });
      child.once("error", fail);
      if (child.pid !== undefined) resolve(child as StartedChild);
    } catch (error) {
      fail(error);
    } finally {
      // The child has its own; while this process held one, the pipe would never end.
      for (const pipe of taken) closeSync(pipe.descriptor);
    }
  });
}

interface Attachment {
  readonly child: StartedChild;
  readonly pipes: StandardPipes;
  readonly spec: ProcessSpec;
  readonly clock: Clock;
  readonly marker: ReturnType<typeof taskMarker>;
}

function attach({ child, pipes, spec, clock, marker }: Attachment): RunningProcess {
  const stdout = createOutputPipe(pipes.stdout?.socket ?? (child.stdout as Socket), clock);
  const stderr = createOutputPipe(pipes.stderr?.socket ?? (child.stderr as Socket), clock);
  const input = createInputPipe(pipes.stdin === "ignore" ? null : (pipes.stdin?.socket ?? child.stdin));
  const end = createTreeEnd(createProcessTree({ rootPid: child.pid, marker, clock }), clock);
  const exited = new Promise<ProcessExit>((resolve) => {
    child.once("exit", (exitCode, signal) => {
      void end.rootExited().then((survivorCount) => {
        input.close();
        stdout.markWritersGone();
        stderr.markWritersGone();
        resolve({ exitCode, signal, survivorCount });
      });
    });
  });
  return {
    pid: child.pid,
    stdout: stdout.stream,
    stderr: stderr.stream,
    isolation: unisolatedReport(spec.workspacePath, process.geteuid?.()),
    writeInput: (bytes) => input.write(bytes),
    endInput: () => input.end(),
    exited,
    async terminate({ graceMs } = {}) {
      const survivorCount = await end.terminate(graceMs);
      if (survivorCount === 0) return;
      throw new CortexError("INTERNAL", `${survivorCount} processes of the task could not be ended`, {
        details: { survivorCount },
      });
    },
  };
}
