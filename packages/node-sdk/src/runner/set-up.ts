/** From a grant to a started skill: skill, input, level, workspace, environment. What fails here never ran. */
import {
  type Clock,
  CortexError,
  ISOLATION_LEVELS,
  type IsolationLevel,
  isAtLeastLevel,
  isEnvDenied,
  MAX_TASK_INPUT_BYTES,
  type OpenedTaskGrant,
  type Policy,
  type TaskId,
} from "@cortex-mesh/protocol";
import type { TaskRequest } from "@cortex-mesh/protocol/gen";
import type { AttemptKey } from "../inbox/inbox.js";
import { assertEnforceable } from "../sandbox/demands.js";
import type { SandboxDriver } from "../sandbox/driver.js";
import { buildEnvironment } from "../sandbox/environment.js";
import { assertLevelAvailable } from "../sandbox/report.js";
import type { StartedSkill } from "../skills/node-skill.js";
import type { SkillTable } from "../skills/skill-table.js";
import type { NodeState } from "../state/node-state.js";
import type { ReportSink } from "./report.js";
import type { Spool } from "./spool.js";
import type { TaskOutput } from "./task-output.js";
import type { PlaceRequest, TaskPlace } from "./workspace.js";

/** What attempts run with. */
export interface RunnerHost {
  readonly state: NodeState;
  readonly spool: Spool;
  readonly skills: SkillTable;
  /** Drivers by the level they prove; a level without one is not available. */
  readonly drivers: ReadonlyMap<IsolationLevel, SandboxDriver>;
  readonly clock: Clock;
  readonly report: ReportSink;
  /** Absolute. */
  readonly workspaceRoot: string;
  /** Finds the directories of a task and makes its workspace. */
  readonly preparePlace: (request: PlaceRequest) => Promise<TaskPlace>;
  /** Level of a task that asks for none. */
  readonly defaultLevel: IsolationLevel;
  /** The node's own environment, of which a little reaches tasks. */
  readonly hostEnv: Readonly<Record<string, string | undefined>>;
  /** Output of one task that is kept, at most. */
  readonly maxOutputBytes: number;
  /** The policy in force; undefined while none was agreed on. */
  readonly policy: () => Policy | undefined;
  /** Removes record payload and log of an attempt that nobody wants any more. Never rejects. */
  readonly forget: (key: AttemptKey) => Promise<void>;
}

/**
 * Starts the skill that a grant asks for.
 *
 * @throws CortexError with the code that the task is rejected with.
 */
export async function setUpTask(host: RunnerHost, grant: OpenedTaskGrant, output: TaskOutput): Promise<StartedSkill> {
  const { task } = grant;
  const skill = host.skills.get(task.capabilityRequired);
  const input = parseInput(task.inputJson);
  if (task.pty !== undefined) throw new CortexError("NOT_SUPPORTED", "this node has no terminals");
  if (task.secrets.length > 0) throw new CortexError("NOT_SUPPORTED", "this node has no named secrets");
  const driver = findDriver(host, task);
  const { workspaceRoot } = host;
  const { workspacePath, sessionId } = task;
  const place = await host.preparePlace({ workspaceRoot, workspacePath, sessionId, cwd: task.cwd });
  return await skill.start({
    taskId: grant.taskId satisfies TaskId,
    attempt: grant.attempt,
    input,
    workspacePath: place.workspacePath,
    cwd: place.cwd,
    env: environmentOf(host, task, place.workspacePath),
    hasInput: task.stdin,
    driver,
    write: (stream, bytes) => output.write(stream, bytes),
    lose: (sizeBytes) => output.lose(sizeBytes),
    progress: (json) => output.progress(json),
  });
}

function parseInput(inputJson: Uint8Array): unknown {
  if (inputJson.byteLength > MAX_TASK_INPUT_BYTES) {
    throw new CortexError(
      "TOO_LARGE",
      `the input has ${inputJson.byteLength} bytes, the limit is ${MAX_TASK_INPUT_BYTES}`,
    );
  }
  if (inputJson.byteLength === 0) return {};
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(inputJson));
  } catch (error) {
    throw new CortexError("BAD_REQUEST", "input: not JSON in UTF-8", { cause: error });
  }
}

/** The driver of the level that is asked for, or of the least one that the policy allows if that is stronger. */
function findDriver(host: RunnerHost, task: TaskRequest): SandboxDriver {
  const asked = task.sandbox?.level || host.defaultLevel;
  const strongest = [...ISOLATION_LEVELS].reverse().find((level) => host.drivers.has(level)) ?? "none";
  assertLevelAvailable(asked, strongest);
  const policy = host.policy();
  const least = policy?.level ?? "none";
  const needed = isAtLeastLevel(asked, least) ? asked : least;
  assertLevelAvailable(needed, strongest);
  assertEnforceable(needed, task.sandbox, policy);
  const driver = host.drivers.get(needed);
  if (driver === undefined) {
    throw new CortexError("SANDBOX_UNAVAILABLE", `this node has no sandbox of the level "${needed}"`);
  }
  return driver;
}

function environmentOf(host: RunnerHost, task: TaskRequest, workspacePath: string): Readonly<Record<string, string>> {
  const denied = host.policy()?.env.deny ?? [];
  const requested = Object.fromEntries(Object.entries(task.env).filter(([name]) => !isEnvDenied(denied, name)));
  const temporaryPath = host.hostEnv["TMPDIR"] ?? "/tmp";
  return buildEnvironment({ workspacePath, temporaryPath, host: host.hostEnv, requested }).env;
}
