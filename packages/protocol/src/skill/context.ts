/** What a skill gets to work with, and what it gives back: the same for shell, echo and a user's own skill. */

/** Live output of a task. */
export interface SkillOutput {
  /**
   * Writes to standard output. Resolves when there is room for more; a skill that writes much awaits it.
   * Never rejects: when output is over its limit, the task's signal is aborted.
   */
  stdout(data: string | Uint8Array): Promise<void>;
  /** Writes to standard error; otherwise as `stdout`. */
  stderr(data: string | Uint8Array): Promise<void>;
}

/** One run of a skill. */
export interface SkillContext<Input = unknown> {
  /** What was asked for, checked against the skill's schema. */
  readonly input: Input;
  readonly taskId: string;
  /** Absolute path of the session's workspace. */
  readonly workspace: string;
  /** Absolute path to work in: the workspace, or the directory in it that the task names. */
  readonly cwd: string;
  /** Environment of the task, complete. */
  readonly env: Readonly<Record<string, string>>;
  /** Bytes sent to the task while it runs; ends at once when the task takes no input. */
  readonly stdin: AsyncIterable<Uint8Array>;
  readonly output: SkillOutput;
  /** Reports how far it is, as a JSON value. Readers see each report, in order with the output. */
  progress(value: unknown): void;
  /** Aborted by a cancel, a time-out or a limit. A skill that ignores it is ended all the same. */
  readonly signal: AbortSignal;
}

/** How a process of the skill ended; makes the task's exit code. */
export interface ProcessEnd {
  /** Null when a signal ended it. */
  readonly exitCode: number | null;
  /** `SIGKILL`, …; null when it ended by itself. */
  readonly signal: string | null;
}

/** The end of a run that did not throw. */
export interface SkillEnd {
  /** Result, as a JSON value. */
  readonly value: unknown;
  /** For a skill that is a process: it succeeded if the exit code is 0. */
  readonly process?: ProcessEnd;
}
