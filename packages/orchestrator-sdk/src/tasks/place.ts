/**
 * Gives waiting tasks to nodes: queued to leased, in order of submission, as far as able nodes have free slots.
 *
 * One pass runs at a time; a wake-up during a pass causes another one. The lease is decided by the conditional write,
 * not by this process' picture of the nodes: the write checks that the node's connection is still the current one.
 */
import { CortexError, isCortexError, type NodeId, type SessionId, type TaskId } from "@cortex-mesh/protocol";
import { systemScope } from "../access/scope.js";
import type { NodeConnections } from "../nodes/connections.js";
import type { SessionRecord, TaskRecord, TaskRequestRecord } from "../store/records.js";
import type { HubStore } from "../store/store.js";
import type { Wake } from "../wake/wake.js";
import type { TaskWriter } from "./commit.js";
import { type Candidate, choose, judge, type Verdict } from "./eligibility.js";
import { isFinal } from "./machine.js";

/** Leases that one pass has on their way at once; one group commit takes about this many. */
const MAX_LEASES_AT_ONCE = 64;
const LOAD_PAGE = 1000;

/** What placement works with. */
export interface PlacementOptions {
  readonly store: HubStore;
  readonly writer: TaskWriter;
  readonly connections: NodeConnections;
  readonly wake: Wake;
  /** Told when a pass failed; the next wake-up tries again. */
  readonly onError: (error: unknown) => void;
}

/** Gives waiting tasks to nodes. */
export interface Placement {
  /** Reads what waits and what is under way from the store, then places and keeps placing. */
  start(): Promise<void>;
  /** Every attached node with its verdict for the task. */
  judgeAll(session: SessionRecord, request: TaskRequestRecord): Promise<Verdict[]>;
  /** Tasks that wait. */
  readonly waitingCount: number;
  close(): Promise<void>;
}

interface Waiting {
  readonly taskId: TaskId;
  readonly sessionId: SessionId;
  request?: TaskRequestRecord | undefined;
}

/** Makes the placement of a hub. */
export function createPlacement(options: PlacementOptions): Placement {
  const { store, writer, connections, wake } = options;
  const waiting = new Map<TaskId, Waiting>();
  /** Attempts that hold a slot, by task; the node's count follows from it. */
  const holders = new Map<TaskId, NodeId>();
  const used = new Map<NodeId, number>();
  let isClosed = false;
  let isWanted = false;
  let pass: Promise<void> | undefined;

  const hold = (taskId: TaskId, nodeId: NodeId | undefined): void => {
    const previous = holders.get(taskId);
    if (previous === nodeId) return;
    if (previous !== undefined) used.set(previous, (used.get(previous) ?? 1) - 1);
    if (nodeId === undefined) holders.delete(taskId);
    else {
      holders.set(taskId, nodeId);
      used.set(nodeId, (used.get(nodeId) ?? 0) + 1);
    }
  };
  const note = (task: TaskRecord): void => {
    if (task.state === "queued") waiting.set(task.taskId, { taskId: task.taskId, sessionId: task.sessionId });
    else waiting.delete(task.taskId);
    hold(task.taskId, task.state === "queued" || isFinal(task.state) ? undefined : task.nodeId);
  };
  const freeSlots = (nodeId: NodeId): number => {
    const connection = connections.ready(nodeId);
    return connection === undefined ? 0 : connection.maxTasks - (used.get(nodeId) ?? 0);
  };
  const judgeAll = async (session: SessionRecord, request: TaskRequestRecord): Promise<Verdict[]> => {
    const verdicts: Verdict[] = [];
    for (const { nodeId } of session.nodes) {
      if (request.nodeId !== undefined && request.nodeId !== nodeId) continue;
      const node = await store.nodes.get(systemScope, nodeId);
      if (node === undefined) continue;
      const connection = connections.get(nodeId);
      const candidate: Candidate = {
        node,
        isOnline: connection?.isReady === true,
        isDraining: connection?.isDraining === true,
        freeSlots: freeSlots(nodeId),
      };
      verdicts.push(judge(request, candidate));
    }
    return verdicts;
  };

  const tryLease = async (entry: Waiting, nodeId: NodeId, epoch: number): Promise<void> => {
    try {
      const written = await writer.apply(entry.taskId, { type: "lease", nodeId, epoch }, {
        check: async (_task, tx) => {
          const node = await tx.nodes.get(systemScope, nodeId);
          if (node?.epoch !== epoch) throw new CortexError("UNAVAILABLE", `node ${nodeId} reconnected meanwhile`);
        },
      });
      if (written === undefined) {
        waiting.delete(entry.taskId);
        hold(entry.taskId, undefined);
      } else if (written.outcome.kind !== "changed") note(written.task);
    } catch (error) {
      hold(entry.taskId, undefined);
      if (!isCortexError(error) || error.code !== "UNAVAILABLE") throw error;
    }
  };

  const runPass = async (): Promise<void> => {
    const leases: Promise<void>[] = [];
    const sessions = new Map<SessionId, SessionRecord | undefined>();
    for (const entry of [...waiting.values()]) {
      if (isClosed) break;
      if (!sessions.has(entry.sessionId)) sessions.set(entry.sessionId, await store.sessions.get(systemScope, entry.sessionId));
      const session = sessions.get(entry.sessionId);
      if (session === undefined || !session.nodes.some(({ nodeId }) => freeSlots(nodeId) > 0)) continue;
      entry.request ??= await store.tasks.request(systemScope, entry.taskId);
      if (entry.request === undefined) continue;
      const nodeId = choose(entry.taskId, await judgeAll(session, entry.request));
      const connection = nodeId === undefined ? undefined : connections.ready(nodeId);
      if (connection === undefined || !waiting.has(entry.taskId)) continue;
      hold(entry.taskId, connection.nodeId);
      leases.push(tryLease(entry, connection.nodeId, connection.epoch));
      if (leases.length >= MAX_LEASES_AT_ONCE) await Promise.all(leases.splice(0));
    }
    await Promise.all(leases);
  };
  const trigger = (): void => {
    isWanted = true;
    pass ??= (async () => {
      while (isWanted && !isClosed) {
        isWanted = false;
        await runPass().catch(options.onError);
      }
      pass = undefined;
    })();
  };

  writer.onCommit((_before, after) => note(after));
  const unlisten = wake.listen("place", trigger);
  return {
    judgeAll,
    get waitingCount() {
      return waiting.size;
    },
    async start() {
      for await (const task of listUnfinished(store)) note(task);
      trigger();
    },
    async close() {
      isClosed = true;
      unlisten();
      await pass;
    },
  };
}

/** Every task that has not ended, in order. */
export async function* listUnfinished(store: HubStore): AsyncIterable<TaskRecord> {
  let after: string | undefined;
  for (;;) {
    const page = await store.tasks.list(systemScope, { states: ["queued", "leased", "running"] }, { after, limit: LOAD_PAGE });
    yield* page;
    after = page.at(-1)?.taskId;
    if (page.length < LOAD_PAGE) return;
  }
}
