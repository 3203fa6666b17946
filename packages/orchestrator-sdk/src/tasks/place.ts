/**
 * Gives waiting tasks to nodes: queued to leased, in order of submission, as far as able nodes have free slots.
 *
 * One pass runs at a time; a wake-up during a pass causes another one, and a pass that failed is repeated. The lease is
 * decided by the conditional write, not by this process' picture of the nodes. A node that did not keep a task is left alone
 * with it for a while, so that the two do not bounce.
 */
import { type Clock, type SessionId, systemClock, type TaskId } from "@cortex-mesh/protocol";
import { systemScope } from "../access/scope.js";
import type { NodeConnection } from "../nodes/connection.js";
import type { NodeConnections } from "../nodes/connections.js";
import type { NodeRecord, SessionRecord, TaskRecord } from "../store/records.js";
import type { HubStore } from "../store/store.js";
import type { Wake } from "../wake/wake.js";
import { createBouncePauses } from "./bounce-pause.js";
import type { TaskWriter } from "./commit.js";
import { choose, isLevelUnavailable, levelsOf, type PlacementNeeds, toNeeds, type Verdict } from "./eligibility.js";
import {
  freeSlots,
  type JudgedTask,
  type Judging,
  judgeNodes,
  type KnownNodes,
  readNode,
  readOnce,
} from "./judge-nodes.js";
import { disconnectLease, type Lease, writeLease } from "./lease.js";
import { listUnfinished } from "./list-tasks.js";
import { isFinal, type TaskInputEvent } from "./machine.js";
import { createPlacementPasses, type PassResult } from "./placement-passes.js";
import { createSlots } from "./slots.js";
import { createWaitingTasks, type WaitingTask } from "./waiting-tasks.js";

/** Leases that one pass has on their way at once; one group commit takes about this many. */
const MAX_LEASES_AT_ONCE = 64;

/** What placement works with. */
export interface PlacementOptions {
  readonly store: HubStore;
  readonly writer: TaskWriter;
  readonly connections: NodeConnections;
  readonly wake: Wake;
  /** @default the system's clock */
  readonly clock?: Clock | undefined;
  /** Told when a pass failed; it is tried again a little later. */
  readonly onError: (error: unknown) => void;
}

/** Gives waiting tasks to nodes. */
export interface Placement {
  /** Reads what waits and what is under way from the store, then places and keeps placing. */
  start(): Promise<void>;
  /** Every attached node with its verdict for the task, also the nodes that it does not name. */
  judgeAll(task: JudgedTask): Promise<Verdict[]>;
  /** Tasks that wait. */
  readonly waitingCount: number;
  close(): Promise<void>;
}

/** Makes the placement of a hub. */
export function createPlacement(options: PlacementOptions): Placement {
  const { store, writer, wake, clock = systemClock } = options;
  const slots = createSlots();
  const waiting = createWaitingTasks();
  const pauses = createBouncePauses();
  const judging = { store, connections: options.connections, slots, pauses, nowMs: () => clock.monotonicMs() };
  const note = (task: TaskRecord): void => {
    if (task.state === "queued") waiting.add(task);
    else waiting.remove(task.taskId);
    if (task.state === "running" || isFinal(task.state)) pauses.forget(task.taskId);
    slots.hold(task.taskId, isFinal(task.state) ? undefined : task.nodeId);
  };
  const passes = createPlacementPasses({
    clock,
    onError: options.onError,
    run: (hasStopped) => runPass({ ...options, ...judging, waiting, note, hasStopped }),
  });

  writer.onCommit((before, after) => {
    if (before?.state === "leased" && after.state === "queued" && before.nodeId !== undefined)
      pauses.bounced({ taskId: after.taskId, nodeId: before.nodeId, epoch: before.epoch }, judging.nowMs());
    note(after);
  });
  writer.onForget(({ taskId }) => {
    waiting.remove(taskId);
    pauses.forget(taskId);
    slots.hold(taskId, undefined);
  });
  return {
    judgeAll: (task) => judgeNodes(judging, task, new Map()),
    get waitingCount() {
      return waiting.count;
    },
    async start() {
      for await (const task of listUnfinished(store)) note(task);
      passes.start(wake);
    },
    close: () => passes.close(),
  };
}

interface Pass extends PlacementOptions, Judging {
  readonly waiting: ReturnType<typeof createWaitingTasks>;
  readonly note: (task: TaskRecord) => void;
  readonly hasStopped: () => boolean;
}

/** Records that one pass reads once. What may have changed since is checked by the write of the lease. */
interface PassRecords {
  readonly sessions: Map<SessionId, SessionRecord | undefined>;
  readonly nodes: KnownNodes;
}

/** Offers each waiting task once. */
async function runPass(pass: Pass): Promise<PassResult> {
  const { onError } = pass;
  const records: PassRecords = { sessions: new Map(), nodes: new Map() };
  const writes: Promise<void>[] = [];
  let hasFailed = false;
  const own = (write: Promise<unknown>): void => {
    const failed = (error: unknown): void => {
      hasFailed = true;
      onError(error);
    };
    writes.push(write.then(() => undefined, failed));
  };
  try {
    for (const entry of pass.waiting.inOrder()) {
      if (pass.hasStopped()) break;
      await offer(pass, { entry, records, own });
      if (writes.length >= MAX_LEASES_AT_ONCE) await Promise.all(writes.splice(0));
    }
  } finally {
    await Promise.all(writes);
  }
  return { hasFailed, againAfterMs: pass.pauses.nextEndMs(pass.nowMs()) };
}

interface Offer {
  readonly entry: WaitingTask;
  readonly records: PassRecords;
  /** Takes over a write that goes on beside the pass. */
  readonly own: (write: Promise<unknown>) => void;
}

async function offer(pass: Pass, { entry, records, own }: Offer): Promise<void> {
  const { store, slots, waiting, writer } = pass;
  const { taskId, sessionId } = entry;
  const session = await readOnce(records.sessions, sessionId, (id) => store.sessions.get(systemScope, id));
  if (session === undefined || session.status === "closed") return;
  const hasFree = session.nodes.some(({ nodeId }) => freeSlots(pass, nodeId) > 0);
  if (!hasFree && entry.needs !== undefined && !isBoundToNodes(entry.needs)) return;
  entry.needs ??= await readNeeds(store, taskId);
  const { needs } = entry;
  if (needs === undefined || !waiting.has(taskId)) return;
  const refusal = await findRefusal(pass, { taskId, session, needs }, records.nodes);
  if (refusal !== undefined) return own(writer.apply(taskId, refusal));
  if (!hasFree) return;
  const connection = await chooseNode(pass, { taskId, session, needs }, records.nodes);
  if (connection === undefined || freeSlots(pass, connection.nodeId) <= 0 || !waiting.has(taskId)) return;
  slots.hold(taskId, connection.nodeId);
  own(lease(pass, { taskId, sessionId, nodeId: connection.nodeId, epoch: connection.epoch }));
}

async function chooseNode(pass: Pass, task: JudgedTask, nodes: KnownNodes): Promise<NodeConnection | undefined> {
  const { nodeId: named } = task.needs;
  const asked = task.session.nodes.filter(({ nodeId }) => named === undefined || named === nodeId);
  const verdicts = await judgeNodes(pass, { ...task, session: { ...task.session, nodes: asked } }, nodes);
  const nodeId = choose(task.taskId, verdicts);
  return nodeId === undefined ? undefined : pass.connections.ready(nodeId);
}

/** Whether what the nodes are may end the wait, also while all of them are busy or away. */
function isBoundToNodes({ nodeId, sandboxLevel }: PlacementNeeds): boolean {
  return nodeId !== undefined || sandboxLevel !== undefined;
}

/** What ends a wait that no attached node will ever end. */
async function findRefusal(
  { store }: Pass,
  { session, needs }: JudgedTask,
  known: KnownNodes,
): Promise<TaskInputEvent | undefined> {
  if (!isBoundToNodes(needs)) return undefined;
  const nodes: NodeRecord[] = [];
  for (const { nodeId } of session.nodes) {
    if (needs.nodeId !== undefined && needs.nodeId !== nodeId) continue;
    const node = await readNode(store, known, nodeId);
    if (node !== undefined) nodes.push(node);
  }
  const named = needs.nodeId === undefined ? undefined : await readNode(store, known, needs.nodeId);
  if (named?.revokedAtMs !== undefined)
    return { type: "reject", error: { code: "NODE_REVOKED", message: `node ${named.nodeId} was revoked` } };
  if (!isLevelUnavailable(needs, nodes)) return undefined;
  const found = nodes.map((node) => `node ${node.name}: ${levelsOf(node).join(", ")}`).join("; ");
  const message = `no attached node provides the isolation level "${needs.sandboxLevel}" (${found}); nothing was started`;
  return { type: "reject", error: { code: "SANDBOX_UNAVAILABLE", message }, cause: "setup_failed" };
}

async function lease(pass: Pass, asked: Lease): Promise<void> {
  const { slots, waiting, pauses, writer, connections } = pass;
  const { taskId, nodeId, epoch } = asked;
  const outcome = await writeLease(writer, asked).catch((error: unknown) => {
    slots.hold(taskId, undefined);
    throw error;
  });
  if (outcome.kind === "moved") return pass.note(outcome.task);
  if (outcome.kind === "leased") {
    if (connections.get(nodeId)?.epoch !== epoch) await disconnectLease(writer, asked);
    return;
  }
  slots.hold(taskId, undefined);
  if (outcome.kind === "gone") waiting.remove(taskId);
  else pauses.bounced(asked, pass.nowMs());
}

/** Only what placement needs is kept while a task waits: the request itself may be large. */
async function readNeeds(store: HubStore, taskId: TaskId): Promise<PlacementNeeds | undefined> {
  const request = await store.tasks.request(systemScope, taskId);
  return request && toNeeds(request);
}
