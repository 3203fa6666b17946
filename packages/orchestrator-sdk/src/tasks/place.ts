/**
 * Gives waiting tasks to nodes: queued to leased, in order of submission, as far as able nodes have free slots.
 *
 * One pass runs at a time; a wake-up during a pass causes another one, and a pass that failed is repeated. The lease is
 * decided by the conditional write, not by this process' picture of the nodes: the write checks that the node's connection
 * is still the current one and that the session still has the node.
 */
import {
  type Clock,
  CortexError,
  isCortexError,
  type NodeId,
  type SessionId,
  systemClock,
  type TaskId,
  type Timer,
} from "@cortex-mesh/protocol";
import { systemScope } from "../access/scope.js";
import type { NodeConnections } from "../nodes/connections.js";
import type { NodeRecord, SessionRecord, TaskRecord, TaskRequestRecord } from "../store/records.js";
import type { HubStore, StoreTransaction } from "../store/store.js";
import type { Wake } from "../wake/wake.js";
import type { TaskWriter } from "./commit.js";
import { choose, judge, type PlacementNeeds, type Verdict } from "./eligibility.js";
import { listUnfinished } from "./list-tasks.js";
import { isFinal } from "./machine.js";
import { createSlots, type Slots } from "./slots.js";
import { createWaitingTasks, type WaitingTask } from "./waiting-tasks.js";

/** Leases that one pass has on their way at once; one group commit takes about this many. */
const MAX_LEASES_AT_ONCE = 64;
/** Time until a pass that failed is repeated: a full disk or a database out of reach may be over by then. */
export const PLACE_AGAIN_AFTER_MS = 1_000;

/** What placement works with. */
export interface PlacementOptions {
  readonly store: HubStore;
  readonly writer: TaskWriter;
  readonly connections: NodeConnections;
  readonly wake: Wake;
  /** @default the system's clock */
  readonly clock?: Clock | undefined;
  /** Told when a pass failed; it is tried again after {@link PLACE_AGAIN_AFTER_MS}. */
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

/** Makes the placement of a hub. */
export function createPlacement(options: PlacementOptions): Placement {
  const { store, writer, wake } = options;
  const slots = createSlots();
  const waiting = createWaitingTasks();
  const judging = { store, connections: options.connections, slots };
  const note = (task: TaskRecord): void => {
    if (task.state === "queued") waiting.add(task);
    else waiting.remove(task.taskId);
    slots.hold(task.taskId, isFinal(task.state) ? undefined : task.nodeId);
  };
  const passes = createPasses(options, (hasStopped) => runPass({ ...options, slots, waiting, note, hasStopped }));

  writer.onCommit((_before, after) => note(after));
  writer.onForget(({ taskId }) => {
    waiting.remove(taskId);
    slots.hold(taskId, undefined);
  });
  return {
    judgeAll: (session, request) => judgeNodes(judging, { session, needs: request, nodes: new Map() }),
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

/** Runs passes, one at a time, when they are wanted. */
function createPasses(
  options: Pick<PlacementOptions, "onError" | "clock">,
  run: (hasStopped: () => boolean) => Promise<boolean>,
): { start(wake: Wake): void; close(): Promise<void> } {
  const { onError, clock = systemClock } = options;
  let isClosed = false;
  let isWanted = false;
  let pass: Promise<void> | undefined;
  let again: Timer | undefined;
  let unlisten = (): void => undefined;
  const passOnce = async (): Promise<void> => {
    again?.cancel();
    const isDone = await run(() => isClosed).catch((error: unknown) => {
      onError(error);
      return false;
    });
    if (!isDone && !isClosed) again = clock.setTimer(trigger, PLACE_AGAIN_AFTER_MS);
  };
  const trigger = (): void => {
    isWanted = true;
    pass ??= (async () => {
      while (isWanted && !isClosed) {
        isWanted = false;
        await passOnce();
      }
      pass = undefined;
    })();
  };
  return {
    start(wake) {
      if (isClosed) return;
      unlisten = wake.listen("place", trigger);
      trigger();
    },
    async close() {
      isClosed = true;
      unlisten();
      await pass;
      again?.cancel();
    },
  };
}

interface Judging {
  readonly store: HubStore;
  readonly connections: NodeConnections;
  readonly slots: Slots;
}

interface Pass extends PlacementOptions {
  readonly slots: Slots;
  readonly waiting: ReturnType<typeof createWaitingTasks>;
  readonly note: (task: TaskRecord) => void;
  readonly hasStopped: () => boolean;
}

/** Records that one pass reads once. What may have changed since is checked by the write of the lease. */
interface PassRecords {
  readonly sessions: Map<SessionId, SessionRecord | undefined>;
  readonly nodes: Map<NodeId, NodeRecord | undefined>;
}

/** Offers each waiting task once. False when something failed and the pass is to be repeated. */
async function runPass(pass: Pass): Promise<boolean> {
  const { onError } = pass;
  const records: PassRecords = { sessions: new Map(), nodes: new Map() };
  const writes: Promise<void>[] = [];
  let isDone = true;
  const own = (write: Promise<unknown>): void => {
    const failed = (error: unknown): void => {
      isDone = false;
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
  return isDone;
}

interface Offer {
  readonly entry: WaitingTask;
  readonly records: PassRecords;
  /** Takes over a write that goes on beside the pass. */
  readonly own: (write: Promise<unknown>) => void;
}

async function offer(pass: Pass, { entry, records, own }: Offer): Promise<void> {
  const { store, connections, slots, waiting, writer } = pass;
  const session = await readOnce(records.sessions, entry.sessionId, (id) => store.sessions.get(systemScope, id));
  if (session === undefined || session.status === "closed") return;
  const hasFree = session.nodes.some(({ nodeId }) => freeSlots(pass, nodeId) > 0);
  if (!hasFree && entry.needs?.nodeId === undefined && entry.needs !== undefined) return;
  entry.needs ??= await readNeeds(store, entry.taskId);
  const { needs } = entry;
  if (needs === undefined || !waiting.has(entry.taskId)) return;
  if (needs.nodeId !== undefined && (await readNode(store, records.nodes, needs.nodeId))?.revokedAtMs !== undefined) {
    const error = { code: "NODE_REVOKED", message: `node ${needs.nodeId} was revoked` };
    return own(writer.apply(entry.taskId, { type: "reject", error }));
  }
  if (!hasFree) return;
  const nodeId = choose(entry.taskId, await judgeNodes(pass, { session, needs, nodes: records.nodes }));
  const connection = nodeId === undefined ? undefined : connections.ready(nodeId);
  if (connection === undefined || freeSlots(pass, connection.nodeId) <= 0 || !waiting.has(entry.taskId)) return;
  slots.hold(entry.taskId, connection.nodeId);
  own(
    lease(pass, {
      taskId: entry.taskId,
      sessionId: entry.sessionId,
      nodeId: connection.nodeId,
      epoch: connection.epoch,
    }),
  );
}

interface Lease {
  readonly taskId: TaskId;
  readonly sessionId: SessionId;
  readonly nodeId: NodeId;
  readonly epoch: number;
}

async function lease(pass: Pass, { taskId, sessionId, nodeId, epoch }: Lease): Promise<void> {
  const { slots, waiting, writer, connections } = pass;
  try {
    const check = (_task: TaskRecord, tx: StoreTransaction): Promise<void> =>
      assertStillThere(tx, { sessionId, nodeId, epoch });
    const written = await writer.apply(taskId, { type: "lease", nodeId, epoch }, { check });
    if (written === undefined) waiting.remove(taskId);
    if (written === undefined) slots.hold(taskId, undefined);
    else if (written.outcome.kind !== "changed") pass.note(written.task);
  } catch (error) {
    slots.hold(taskId, undefined);
    // The node's next hello, or the next change of the session, wakes placement.
    if (!(error instanceof StaleChoice)) throw error;
    return;
  }
  // A connection that ended during the write did not see the lease among its attempts.
  if (connections.get(nodeId)?.epoch !== epoch) await disconnectLease(writer, taskId, epoch);
}

/** Thrown inside a transaction: the choice was made on what is no longer so. */
class StaleChoice extends CortexError {}

async function assertStillThere(
  tx: StoreTransaction,
  { sessionId, nodeId, epoch }: Omit<Lease, "taskId">,
): Promise<void> {
  const node = await tx.nodes.get(systemScope, nodeId);
  if (node?.epoch !== epoch) throw new StaleChoice("SUPERSEDED", `node ${nodeId} reconnected meanwhile`);
  const session = await tx.sessions.get(systemScope, sessionId);
  const isAttached = session?.status === "active" && session.nodes.some((place) => place.nodeId === nodeId);
  if (!isAttached) throw new StaleChoice("NODE_NOT_ATTACHED", `node ${nodeId} left the session meanwhile`);
}

async function disconnectLease(writer: TaskWriter, taskId: TaskId, epoch: number): Promise<void> {
  const check = (task: TaskRecord): Promise<void> => {
    if (task.epoch === epoch) return Promise.resolve();
    return Promise.reject(new CortexError("SUPERSEDED", "a newer connection holds the attempt"));
  };
  await writer.apply(taskId, { type: "disconnect" }, { check }).catch((error: unknown) => {
    if (!isCortexError(error) || error.code !== "SUPERSEDED") throw error;
  });
}

async function judgeNodes(
  judging: Judging,
  asked: { readonly session: SessionRecord; readonly needs: PlacementNeeds; readonly nodes: PassRecords["nodes"] },
): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  for (const { nodeId } of asked.session.nodes) {
    if (asked.needs.nodeId !== undefined && asked.needs.nodeId !== nodeId) continue;
    const node = await readNode(judging.store, asked.nodes, nodeId);
    if (node === undefined) continue;
    const connection = judging.connections.get(nodeId);
    const isOnline = connection?.isReady === true;
    const isDraining = connection?.isDraining === true;
    verdicts.push(judge(asked.needs, { node, isOnline, isDraining, freeSlots: freeSlots(judging, nodeId) }));
  }
  return verdicts;
}

function freeSlots({ connections, slots }: Pick<Judging, "connections" | "slots">, nodeId: NodeId): number {
  const connection = connections.ready(nodeId);
  return connection === undefined ? 0 : connection.maxTasks - slots.usedBy(nodeId);
}

/** Only what placement needs is kept while a task waits: the request itself may be large. */
async function readNeeds(store: HubStore, taskId: TaskId): Promise<PlacementNeeds | undefined> {
  const request = await store.tasks.request(systemScope, taskId);
  return request && { nodeId: request.nodeId, skill: request.skill, requires: request.requires };
}

function readNode(store: HubStore, nodes: PassRecords["nodes"], nodeId: NodeId): Promise<NodeRecord | undefined> {
  return readOnce(nodes, nodeId, (id) => store.nodes.get(systemScope, id));
}

async function readOnce<K, V>(known: Map<K, V>, key: K, read: (key: K) => Promise<V>): Promise<V> {
  const present = known.get(key);
  if (present !== undefined) return present;
  const value = await read(key);
  known.set(key, value);
  return value;
}
