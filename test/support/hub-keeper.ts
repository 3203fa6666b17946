/** A hub that is killed and started again while others use it, and readers who carry on through that. */
import { once } from "node:events";
import {
  type ApiAccess,
  call,
  followTask,
  resumeTask,
  type Stage,
  type StageHubOptions,
  type TaskStreamEvent,
  type TestHub,
} from "./programs.js";

/** The states that a task does not leave by itself. */
const FINAL_STATES = new Set(["succeeded", "failed", "cancelled", "timed_out", "rejected", "indeterminate"]);

/** A hub whose life is in the hands of a test. */
export interface HubKeeper {
  /** Waits while there is none. */
  up(): Promise<TestHub>;
  /** Deaths so far. */
  readonly deaths: number;
  /** `kill -9`; resolves when the process is gone. */
  kill(): Promise<void>;
  /** Starts it again on its data and its addresses. */
  revive(): Promise<TestHub>;
}

/** Starts a hub and keeps it. */
export async function keepHub(stage: Stage, options: Omit<StageHubOptions, "after"> = {}): Promise<HubKeeper> {
  let last = await stage.hub(options);
  let present = Promise.resolve(last);
  let deaths = 0;
  let bear: (hub: TestHub) => void = () => undefined;
  return {
    up: () => present,
    get deaths() {
      return deaths;
    },
    async kill() {
      deaths += 1;
      present = new Promise((resolve) => {
        bear = resolve;
      });
      const gone = once(last.program.child, "exit");
      last.program.child.kill("SIGKILL");
      await gone;
    },
    async revive() {
      last = await stage.hub({ ...options, after: last });
      bear(last);
      return last;
    },
  };
}

/** What a reader went through. */
export interface Following {
  readonly events: readonly TaskStreamEvent[];
  /** How often the reader had to connect again. */
  readonly resumes: number;
}

/**
 * Follows a task to its final state, with `Last-Event-ID` after each death of the hub.
 *
 * @throws Error when a stream ends early and the hub was not killed.
 */
export async function followThrough(
  keeper: HubKeeper,
  taskId: string,
  onEvent: (event: TaskStreamEvent) => void = () => undefined,
): Promise<Following> {
  const events: TaskStreamEvent[] = [];
  for (let resumes = 0; ; resumes += 1) {
    const hub = await keeper.up();
    const { deaths } = keeper;
    const lastId = events.at(-1)?.id;
    try {
      for await (const event of lastId === undefined ? followTask(hub, taskId) : resumeTask(hub, taskId, lastId)) {
        events.push(event);
        onEvent(event);
      }
      if (FINAL_STATES.has(String(events.at(-1)?.data["state"]))) return { events, resumes };
      if (keeper.deaths === deaths) throw new Error(`the stream of ${taskId} ended before the task did`);
    } catch (error) {
      if (keeper.deaths === deaths) throw error;
    }
  }
}

/** A task as far as the tests look at it. */
export interface TestTask {
  readonly taskId: string;
  readonly nodeId: string | null;
  readonly state: string;
  readonly attempt: number;
  readonly cause: string | null;
  readonly output: { readonly stdoutBytes: number; readonly stderrBytes: number; readonly complete: boolean };
}

/** Opens a session on one node, whose workspace is `w` below the node's. */
export async function openSession(access: ApiAccess, nodeId: string): Promise<string> {
  const nodes = [{ nodeId, path: "w" }];
  return (await call<{ sessionId: string }>(access, "POST /sessions", { name: "kills", nodes })).sessionId;
}

/** What is dispatched. */
export interface ShellDispatch {
  readonly sessionId: string;
  readonly command: string;
  readonly effect?: string;
  readonly timeoutMs?: number;
}

/** Dispatches a shell command. */
export async function dispatchShell(
  access: ApiAccess,
  { sessionId, command, ...options }: ShellDispatch,
): Promise<string> {
  const body = { skill: "shell", input: { command }, ...options };
  return (await call<TestTask>(access, `POST /sessions/${sessionId}/dispatch`, body)).taskId;
}
