/**
 * A skill as the node runs it: started once for a task, then followed to its end.
 *
 * Users write skills with `defineSkill(…).implement(…)`; `value-skill.ts` makes those runnable. Skills that are
 * processes (`shell.ts`) implement this directly.
 */
import type { SkillDescription, SkillEnd } from "@cortex-mesh/protocol";
import type { SandboxDriver } from "../sandbox/driver.js";
import type { IsolationReport } from "../sandbox/report.js";

/** The streams of a task's output. */
export type OutputStream = "stdout" | "stderr";

/** One run that is asked for. */
export interface SkillRequest {
  readonly taskId: string;
  /** From 1. */
  readonly attempt: number;
  /** JSON value, not checked yet. */
  readonly input: unknown;
  /** Absolute path of the session's workspace. */
  readonly workspacePath: string;
  /** Absolute path to work in. */
  readonly cwd: string;
  /** Complete environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Whether the task gets standard input. */
  readonly hasInput: boolean;
  /** Starts processes at the isolation that was asked for. */
  readonly driver: SandboxDriver;
  /** Writes output; resolves when there is room for more; never rejects. */
  write(stream: OutputStream, bytes: Uint8Array): Promise<void>;
  /** Counts output that is not kept; the reader sees a gap. */
  lose(sizeBytes: number): void;
  /** Reports a value as JSON in UTF-8; otherwise as `write`. One over `MAX_OUTPUT_CHUNK_BYTES` is left out. */
  progress(json: Uint8Array): Promise<void>;
}

/** Where the bytes of standard input go. */
export interface SkillInputSink {
  /**
   * Resolves when the bytes were taken. Calls keep their order.
   *
   * @throws CortexError `ALREADY_ENDED` when no more is taken.
   */
  write(bytes: Uint8Array): Promise<void>;
  /** Ends the input after what was written. Idempotent. */
  end(): void;
}

/** A run that was started. */
export interface StartedSkill {
  /** What is enforced for it. */
  readonly isolation: IsolationReport;
  /** Output to be read by the node; what is not read slows the writer. */
  readonly outputs: ReadonlyMap<OutputStream, AsyncIterable<Uint8Array>>;
  /** Undefined when it takes no input. */
  readonly input: SkillInputSink | undefined;
  /** The end; rejects with what the skill threw. */
  readonly ended: Promise<SkillEnd>;
  /** Ends it, wholly: asks first, forces after `graceMs`. Resolves when nothing of it runs; never rejects. */
  stop(graceMs: number): Promise<void>;
}

/** A skill that a node runs. */
export interface NodeSkill extends SkillDescription {
  /**
   * Starts it once.
   *
   * @throws CortexError when it cannot be started: `BAD_REQUEST` for an input that does not fit,
   * `COMMAND_NOT_FOUND`, `SANDBOX_UNAVAILABLE`; nothing ran then.
   */
  start(request: SkillRequest): Promise<StartedSkill>;
}
