/** The services of a hub on a store in memory, without nodes that connect: tests drive tasks by what a node would report. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { type NodeId, type SessionId, systemIds, type TaskId, type Timer } from "@cortex-mesh/protocol";
import { type Caller, createCaller } from "../../src/access/caller.js";
import { createFeedService } from "../../src/feed/feed-service.js";
import { openAuthority } from "../../src/nodes/authority.js";
import { createNodeConnections } from "../../src/nodes/connections.js";
import { createNodeDirectory } from "../../src/nodes/directory.js";
import { createInvites } from "../../src/nodes/invites.js";
import type { HubServices } from "../../src/operations/services.js";
import { createSessionService } from "../../src/sessions/session-service.js";
import { createMemoryStore } from "../../src/store/memory/memory-store.js";
import type { NewTaskEvent, NodeRecord } from "../../src/store/records.js";
import type { HubStore } from "../../src/store/store.js";
import { createCancelAll } from "../../src/tasks/cancel-all.js";
import { createTaskWriter, type TaskWriter } from "../../src/tasks/commit.js";
import { createTaskService } from "../../src/tasks/create-task-service.js";
import { createDeadlines } from "../../src/tasks/deadlines.js";
import { createInputRelay } from "../../src/tasks/input.js";
import { loseAttemptsOf } from "../../src/tasks/lose-all.js";
import { openOutputFiles } from "../../src/tasks/output-files.js";
import { createPlacement } from "../../src/tasks/place.js";
import type { AttemptEnd } from "../../src/tasks/task-changes.js";
import type { TaskService } from "../../src/tasks/task-service.js";
import { createLocalWake } from "../../src/wake/local.js";
import type { Wake } from "../../src/wake/wake.js";
import { nodeRecord } from "../support/task-record.js";

export const alice: Caller = createCaller("alice");
export const bob: Caller = createCaller("bob");

/** A clock whose timers fire when the test says so. */
export interface ManualClock {
  nowMs(): number;
  monotonicMs(): number;
  setTimer(run: () => void, delayMs: number): Timer;
  advance(ms: number): void;
  readonly timerCount: number;
}

export function createManualClock(): ManualClock {
  let elapsedMs = 0;
  const timers = new Map<object, { readonly atMs: number; readonly run: () => void }>();
  return {
    nowMs: () => 1_800_000_000_000 + elapsedMs,
    monotonicMs: () => elapsedMs,
    setTimer(run, delayMs) {
      const key = {};
      timers.set(key, { atMs: elapsedMs + delayMs, run });
      return { cancel: () => void timers.delete(key) };
    },
    advance(ms) {
      elapsedMs += ms;
      for (const [key, { atMs, run }] of timers) {
        if (atMs > elapsedMs) continue;
        timers.delete(key);
        run();
      }
    },
    get timerCount() {
      return timers.size;
    },
  };
}

/** Services with what a test needs to act as the nodes. */
export interface TestHub {
  readonly services: HubServices;
  readonly store: HubStore;
  readonly wake: Wake;
  readonly clock: ManualClock;
  readonly writer: TaskWriter;
  addNode(owner: Caller, changes?: Partial<NodeRecord>): Promise<NodeId>;
  addSession(owner: Caller, nodeIds?: readonly NodeId[]): Promise<SessionId>;
  /** Dispatches `true` in a session. */
  addTask(owner: Caller, sessionId: SessionId): Promise<TaskId>;
  start(taskId: TaskId, nodeId: NodeId): Promise<void>;
  write(taskId: TaskId, stream: "stdout" | "stderr", bytes: Uint8Array | string): Promise<void>;
  end(taskId: TaskId, end?: Partial<AttemptEnd>): Promise<void>;
}

/** How {@link openTestHub} may differ. */
export interface TestHubOptions {
  readonly wrapTasks?: (tasks: TaskService) => TaskService;
  readonly wrapWake?: (wake: Wake) => Wake;
}

export async function openTestHub(options: TestHubOptions = {}): Promise<TestHub> {
  const { wrapTasks = (tasks) => tasks, wrapWake = (wake) => wake } = options;
  const directory = await mkdtemp(join(tmpdir(), "cortex-operations-"));
  const store = createMemoryStore();
  const files = await openOutputFiles(directory);
  onTestFinished(async () => {
    await files.close();
    await store.close();
    await rm(directory, { recursive: true, force: true });
  });
  const clock = createManualClock();
  const wake = wrapWake(createLocalWake());
  const ids = systemIds;
  const writer = createTaskWriter({ store, wake, clock });
  const connections = createNodeConnections();
  const onError = (error: unknown): void => {
    throw error;
  };
  const placement = createPlacement({ store, writer, connections, wake, onError });
  const deadlines = createDeadlines({ writer, clock, onError });
  const input = createInputRelay({ connections, wake, current: () => Promise.resolve(undefined) });
  const authority = await openAuthority({ store, ids });
  const endpoint = () => ({ address: "127.0.0.1:50051", caFingerprint: "ab".repeat(32) });
  const parts = { store, writer, placement, deadlines, input, files, connections, wake, ids, clock };
  const services: HubServices = {
    clock,
    feed: createFeedService({ store, wake }),
    invites: createInvites({ store, authority, clock, ids, endpoint }),
    nodes: createNodeDirectory({
      store,
      connections,
      wake,
      clock,
      onRevoked: (nodeId) => loseAttemptsOf({ store, writer }, nodeId),
    }),
    sessions: createSessionService({
      store,
      wake,
      clock,
      ids,
      tasks: { cancelAll: createCancelAll({ store, writer, clock }) },
    }),
    tasks: wrapTasks(createTaskService(parts)),
  };
  const hub = { services, store, wake, clock, writer };
  return { ...hub, ...createActions(hub, files) };
}

type Actions = Pick<TestHub, "addNode" | "addSession" | "addTask" | "start" | "write" | "end">;

function createActions(
  { services, store, wake, writer, clock }: Omit<TestHub, keyof Actions>,
  files: Awaited<ReturnType<typeof openOutputFiles>>,
): Actions {
  return {
    async addNode(owner, changes = {}) {
      const nodeId = systemIds.next("node");
      const node = nodeRecord({ nodeId, ownerId: owner.userId, ...changes });
      await store.transaction((tx) => tx.nodes.insert(node));
      return nodeId;
    },
    async addSession(owner, nodeIds = []) {
      const nodes = nodeIds.map((nodeId) => ({ nodeId }));
      return (await services.sessions.create(owner, { nodes })).sessionId;
    },
    async addTask(owner, sessionId) {
      const request = { skill: "shell", input: { command: "true" }, env: {}, secrets: [], stdin: false };
      const none = { nodeId: undefined, requires: undefined, cwd: undefined, pty: undefined, sandbox: undefined };
      const times = { timeoutMs: undefined, queueTimeoutMs: undefined, effect: undefined, idempotencyKey: undefined };
      return (await services.tasks.submit(owner, { sessionId, ...request, ...none, ...times })).task.taskId;
    },
    async start(taskId, nodeId) {
      await writer.apply(taskId, { type: "lease", nodeId, epoch: 1 });
      await writer.apply(taskId, { type: "start", attempt: 1, isolation: { level: "none" } });
    },
    async write(taskId, stream, content) {
      const bytes = typeof content === "string" ? Buffer.from(content) : content;
      const output = await store.events.output({ kind: "system" } as never, taskId);
      if (output === undefined) throw new Error(`no task ${taskId}`);
      const offset = stream === "stdout" ? output.stdoutBytes : output.stderrBytes;
      await files.append(taskId, stream, { offset, chunks: [bytes] });
      const event: NewTaskEvent = { kind: stream, atMs: clock.nowMs(), data: null, offset, length: bytes.byteLength };
      const field = stream === "stdout" ? "stdoutBytes" : "stderrBytes";
      await store.transaction(async (tx) => {
        await tx.events.append(taskId, [event]);
        const { lastSeq: _lastSeq, ...rest } = output;
        await tx.events.setOutput({ ...rest, [field]: offset + bytes.byteLength });
      });
      wake.wake(`task:${taskId}`);
    },
    async end(taskId, changes = {}) {
      const end: AttemptEnd = {
        state: "succeeded",
        exitCode: 0,
        signal: null,
        value: null,
        error: undefined,
        cause: "exit",
        isolation: undefined,
        ...changes,
      };
      await writer.apply(taskId, { type: "end", attempt: 1, end });
    },
  };
}
