/** The users of a history: they post, post again, cancel, resolve and look, and tell the oracle what they were told. */

import type { Api, Operations } from "@cortex-mesh/orchestrator-sdk";
import { isCortexError } from "@cortex-mesh/protocol";
import type { World } from "../mesh/world.js";
import type { SeededRandom } from "../random.js";
import type { Figures } from "./figures.js";
import { createFollowers, type Followers } from "./followers.js";
import type { Oracle, Reading, SeenTask } from "./oracle.js";
import { type SeenEvent, toSeenEvent } from "./seen-event.js";
import type { Trace } from "./trace.js";
import type { Submission } from "./workload.js";

/** The one user of the simulation. */
export const USER = "alice";

const AGAIN_MIN_MS = 200;
const AGAIN_MAX_MS = 2_000;
/** Between two looks at all tasks, in milliseconds. */
const LOOK_MS = 3_000;
const PAGE = 100;
/** How often an indeterminate task that a user sees is resolved. */
const RESOLVE_RATIO = 0.1;

/** The users at work. */
export interface Users {
  /** Opens the session of all nodes. */
  open(): Promise<void>;
  start(workload: readonly Submission[]): void;
  /** Posts and cancels that are not answered yet. */
  readonly openCallCount: number;
  /** Reads every task of the session. Undefined while the hub is down. */
  list(): Promise<readonly SeenTask[] | undefined>;
  read(task: SeenTask): Promise<Reading>;
  /** What those who followed tasks were given. */
  readonly followed: Followers["followed"];
  stop(): void;
}

/** What users work with. */
export interface UsersOptions {
  readonly world: World;
  readonly random: SeededRandom;
  readonly figures: Figures;
  readonly trace: Trace;
  readonly oracle: Oracle;
  readonly onAccepted: () => void;
}

interface UsersState extends UsersOptions {
  readonly followers: Followers;
  sessionId: string;
  openPosts: number;
  isStopped: boolean;
}

/** Makes the users of a history. */
export function createUsers(options: UsersOptions): Users {
  const followers = createFollowers({
    ...options,
    user: USER,
    random: options.random.fork("followers"),
    onFault: (taskId, what) => options.oracle.add({ taskId, what }),
  });
  const state: UsersState = { ...options, followers, sessionId: "", openPosts: 0, isStopped: false };
  return {
    followed: followers.followed,
    get openCallCount() {
      return state.openPosts;
    },
    async open() {
      const nodes = options.world.nodes.map(({ machine }) => ({ nodeId: machine.nodeId, path: "work" }));
      const session = await ask(state, (api) => api.createSession({ name: "simulation", nodes }));
      state.sessionId = session?.sessionId ?? "";
    },
    start(workload) {
      const { clock } = options.world;
      for (const submission of workload) {
        later(state, submission.atMs, () => post(state, submission));
        for (const afterMs of submission.repeatsAfterMs) {
          options.figures.count("posted again");
          later(state, submission.atMs + afterMs, () => post(state, submission));
        }
      }
      const look = async (): Promise<void> => {
        if (state.isStopped) return;
        await lookAtAll(state);
        clock.setTimer(() => void look(), LOOK_MS);
      };
      clock.setTimer(() => void look(), LOOK_MS);
    },
    list: () => list(state),
    read: (task) => read(options.world, task),
    stop() {
      state.isStopped = true;
    },
  };
}

/** Asks the hub that is up; undefined when there was no answer. */
async function ask<T>({ world }: UsersState, call: (api: Api<Operations>) => Promise<T>): Promise<T | undefined> {
  try {
    return await world.hub.enter((core) => call(core.as(USER)));
  } catch (error) {
    if (isCortexError(error) && error.code === "UNAVAILABLE") return undefined;
    throw error;
  }
}

function later(state: UsersState, delayMs: number, run: () => Promise<void>): void {
  state.openPosts += 1;
  state.world.clock.setTimer(() => {
    void run().finally(() => {
      state.openPosts -= 1;
    });
  }, delayMs);
}

async function post(state: UsersState, submission: Submission): Promise<void> {
  const { world, random, trace, oracle, figures } = state;
  const { name, key, effect, timeoutMs, queueTimeoutMs, nodeIndex, cancelAfterMs } = submission;
  const nodeId = nodeIndex === undefined ? undefined : world.node(nodeIndex).machine.nodeId;
  for (;;) {
    const task = await ask(state, (api) =>
      api.dispatch({
        sessionId: state.sessionId,
        skill: "shell",
        input: { argv: ["work", name] },
        effect,
        ...(key === undefined ? {} : { idempotencyKey: key }),
        ...(nodeId === undefined ? {} : { nodeId }),
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
        ...(queueTimeoutMs === undefined ? {} : { queueTimeoutMs }),
      }),
    );
    if (task !== undefined) {
      trace.add(`accepted ${name} as ${task.taskId}`);
      if (!oracle.accepts.has(task.taskId)) state.followers.offer(task.taskId);
      oracle.accepted({ name, key, timeoutMs }, task);
      state.onAccepted();
      break;
    }
    // Without a key nobody may ask again: it could be there already.
    if (key === undefined) return;
    await pause(world, random.between(AGAIN_MIN_MS, AGAIN_MAX_MS));
  }
  if (cancelAfterMs === undefined) return;
  const taskId = [...oracle.accepts].find(([, accepted]) => accepted === name)?.[0] ?? "";
  await pause(world, cancelAfterMs);
  figures.count("cancelled");
  trace.add(`cancel ${name}`);
  const cancelled = await ask(state, (api) => api.cancelTask({ taskId })).catch((error: unknown) => {
    oracle.add({ taskId, what: `could not be cancelled: ${String(error)}` });
    return undefined;
  });
  if (cancelled !== undefined) oracle.cancelled(cancelled);
}

async function lookAtAll(state: UsersState): Promise<void> {
  const tasks = await list(state);
  for (const task of tasks ?? []) {
    state.oracle.saw(task);
    if (task.state !== "indeterminate" || !state.random.chance(RESOLVE_RATIO)) continue;
    const resolved = await ask(state, (api) => api.resolveTask({ taskId: task.taskId, state: "failed" })).catch(
      // The node's own result was faster.
      () => undefined,
    );
    if (resolved === undefined) continue;
    state.figures.count("resolved");
    state.oracle.saw(resolved);
  }
}

async function list(state: UsersState): Promise<readonly SeenTask[] | undefined> {
  return ask(state, async (api) => {
    const tasks: SeenTask[] = [];
    for (let cursor: string | undefined; ; ) {
      const page = await api.listTasks({
        sessionId: state.sessionId,
        limit: PAGE,
        ...(cursor === undefined ? {} : { cursor }),
      });
      tasks.push(...page.items);
      cursor = page.nextCursor ?? undefined;
      if (cursor === undefined) return tasks;
    }
  });
}

async function read(world: World, task: SeenTask): Promise<Reading> {
  const api = world.hub.as(USER);
  const { taskId } = task;
  const events: SeenEvent[] = [];
  const giveUp = new AbortController();
  // A task that is stuck is not followed for ever.
  if (task.result === null) giveUp.abort();
  for await (const event of api.followTask({ taskId }, { signal: giveUp.signal })) events.push(toSeenEvent(event));
  return { task, events, stdout: await readAll(api, taskId, "stdout"), stderr: await readAll(api, taskId, "stderr") };
}

async function readAll(api: Api<Operations>, taskId: string, stream: "stdout" | "stderr"): Promise<string> {
  const content = await api.readTaskOutput({ taskId, stream });
  const chunks: Uint8Array[] = [];
  for await (const chunk of content.read(0, content.sizeBytes)) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

function pause(world: World, delayMs: number): Promise<void> {
  return new Promise((resolve) => void world.clock.setTimer(resolve, delayMs));
}
