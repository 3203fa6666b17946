/**
 * The isolation report: what was enforced for a task, in the words of the public contract.
 *
 * A report never claims more than what holds. A level is a name for a set of its keys.
 */
import {
  CortexError,
  ISOLATION_LEVELS,
  type IsolationLevel,
  isAtLeastLevel,
  isIsolationLevel,
} from "@cortex-mesh/protocol";

/** What can be enforced; `false` means that nothing is promised. */
export interface EnforcedIsolation {
  readonly filesystem: boolean;
  readonly network: boolean;
  readonly memory: boolean;
  readonly cpu: boolean;
  readonly pids: boolean;
  readonly seccomp: boolean;
  readonly nonRoot: boolean;
  readonly output: boolean;
  readonly disk: boolean;
}

/** What was enforced for one task. */
export interface IsolationReport {
  readonly level: IsolationLevel;
  readonly driver: string;
  readonly enforced: EnforcedIsolation;
  /** Where the task sees its workspace. */
  readonly workspacePath: string;
}

/** The report of a process that runs without a sandbox, as the user with the effective uid `euid`. */
export function unisolatedReport(workspacePath: string, euid: number | undefined): IsolationReport {
  return {
    level: "none",
    driver: "none",
    enforced: {
      filesystem: false,
      network: false,
      memory: false,
      cpu: false,
      pids: false,
      seccomp: false,
      // A system without uids (undefined) has no way to show that a process is not an administrator's.
      nonRoot: euid !== undefined && euid !== 0,
      output: false,
      disk: false,
    },
    workspacePath,
  };
}

/** Adds that output is limited; for the caller who counts the bytes and ends the task over its limit. */
export function withOutputLimit(report: IsolationReport): IsolationReport {
  return { ...report, enforced: { ...report.enforced, output: true } };
}

/**
 * Refuses a level that this node cannot prove. Nothing falls back to less.
 *
 * @param strongest The strongest level that was proven. @default "none"
 * @throws CortexError `SANDBOX_UNAVAILABLE` when `level` is above `strongest` or unknown.
 */
export function assertLevelAvailable(
  level: string,
  strongest: IsolationLevel = "none",
): asserts level is IsolationLevel {
  if (!isIsolationLevel(level)) {
    throw new CortexError(
      "SANDBOX_UNAVAILABLE",
      `"${level}" is no isolation level; use ${ISOLATION_LEVELS.join(", ")}`,
    );
  }
  if (isAtLeastLevel(strongest, level)) return;
  throw new CortexError(
    "SANDBOX_UNAVAILABLE",
    `this node can prove isolation up to level "${strongest}", not "${level}": send the task to another node, ` +
      `or ask for sandbox.level "${strongest}" if its commands may act with the rights of the node's own user`,
    { details: { level, strongest } },
  );
}
