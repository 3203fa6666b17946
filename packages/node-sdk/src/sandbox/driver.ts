/**
 * The contract of a sandbox driver: it starts one process tree, carries its bytes, and ends it.
 *
 * What every driver promises, whatever it isolates:
 * (D1) a process that cannot be started is refused before anything ran, with a code;
 * (D2) output is exact and in order, and a reader that is slow slows the process: memory stays bounded;
 * (D3) when `exited` resolves, the main process has ended and no process of its tree is left;
 * (D4) `terminate` ends the whole tree, also processes that left the group or ignore TERM;
 * (D5) nothing of the node's own environment, input or descriptors reaches the process.
 */
import type { Readable } from "node:stream";
import type { IsolationReport } from "./report.js";

/** A command line for the node's shell, or a program with its arguments and no shell. */
export type ProgramSpec = { readonly command: string } | { readonly argv: readonly string[] };

/** One process to start. */
export interface ProcessSpec {
  readonly taskId: string;
  /** The attempt of the task, from 1. */
  readonly attempt: number;
  readonly program: ProgramSpec;
  /** Directory of the workspace, absolute. */
  readonly workspacePath: string;
  /** Directory to start in, absolute, on the node. */
  readonly cwd: string;
  /** The complete environment; the driver adds its marker and nothing else. */
  readonly env: Readonly<Record<string, string>>;
  /** Whether the process gets standard input; without, it reads end of file at once. */
  readonly stdin: boolean;
}

/** How the main process ended. */
export interface ProcessExit {
  /** Present when the process ended by itself. */
  readonly exitCode: number | null;
  /** Present when a signal ended it, for example `SIGKILL`. */
  readonly signal: string | null;
  /** Processes of the tree that could not be ended (no permission, or stuck in the kernel). */
  readonly survivorCount: number;
}

/** How to end a tree. */
export interface TerminateOptions {
  /** Milliseconds between TERM and KILL; 0 sends KILL at once. @default 5000 */
  readonly graceMs?: number;
}

/** A process that runs, or has run. */
export interface RunningProcess {
  readonly pid: number;
  /** Standard output, bytes. The process waits while nobody reads. Destroying it closes the pipe. */
  readonly stdout: Readable;
  /** Standard error, as `stdout`. */
  readonly stderr: Readable;
  /** What is enforced for this process. */
  readonly isolation: IsolationReport;

  /**
   * Writes to standard input; resolves when the pipe took every byte. Calls keep their order.
   *
   * @throws CortexError `ALREADY_ENDED` when the process or its input has ended; `BAD_REQUEST` when it was
   * started without input; `QUOTA_EXCEEDED` when more than `MAX_PENDING_INPUT_BYTES` wait already.
   */
  writeInput(bytes: Uint8Array): Promise<void>;

  /** Ends standard input after what was written. Harmless when it has ended. */
  endInput(): void;

  /** Resolves when the main process has ended and its tree is gone; never rejects. Unread output stays readable. */
  readonly exited: Promise<ProcessExit>;

  /**
   * Ends the whole tree: TERM, and KILL after the grace. Resolves when none of it is left.
   *
   * Calling again joins the first call; a shorter grace takes effect. Harmless after the end.
   *
   * @throws CortexError `INTERNAL` when processes survive KILL; `details.survivorCount` says how many.
   */
  terminate(options?: TerminateOptions): Promise<void>;
}

/** Starts processes at one level of isolation. */
export interface SandboxDriver {
  readonly name: string;

  /**
   * Starts a process.
   *
   * @throws CortexError `COMMAND_NOT_FOUND` when the program is missing or cannot be executed; `BAD_REQUEST`
   * when the working directory is missing or an argument cannot be passed; `TOO_LARGE` when arguments and
   * environment exceed what the system takes; `UNAVAILABLE` when the system has no room for a process.
   */
  start(spec: ProcessSpec): Promise<RunningProcess>;
}
