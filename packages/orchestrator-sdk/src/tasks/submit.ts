/**
 * Accepts a dispatch: checks it against the session and its nodes, and commits it as *queued*, once for each idempotency
 * key. The answer leaves after the commit.
 */
import {
  CortexError,
  canonicalJson,
  type IdSource,
  isCortexError,
  MAX_IDEMPOTENCY_KEY_BYTES,
  sha256,
  type TaskId,
} from "@cortex-mesh/protocol";
import type { Caller } from "../access/caller.js";
import { systemScope } from "../access/scope.js";
import type { NodeRecord, TaskRecord, TaskRequestRecord } from "../store/records.js";
import type { HubStore, StoreTransaction } from "../store/store.js";
import type { TaskWriter } from "./commit.js";
import { hasSkill } from "./eligibility.js";
import type { SubmitRequest, Submitted } from "./task-service.js";

/** What accepting needs. */
export interface SubmitOptions {
  readonly store: HubStore;
  readonly writer: TaskWriter;
  readonly ids: IdSource;
  readonly nowMs: () => number;
}

/** Accepts a dispatch durably; a repeat of an idempotency key gives the earlier task. */
export async function submitTask(options: SubmitOptions, caller: Caller, request: SubmitRequest): Promise<Submitted> {
  const { sessionId, effect, idempotencyKey, traceparent, ...asked } = request;
  assertKey(idempotencyKey);
  // The trace is not part of what was asked: a retry carries another one.
  const requestSha256 = sha256(canonicalJson({ sessionId, effect: effect ?? "once", ...asked })).toString("hex");
  const repeat = await findRepeat(options.store, caller, { idempotencyKey, requestSha256 });
  if (repeat !== undefined) return repeat;

  const task = newTask(options, caller, { ...request, requestSha256 });
  const record: TaskRequestRecord = { ...asked, traceparent };
  try {
    await options.store.transaction(async (tx) => {
      await assertPlaceable(tx, caller, request);
      await tx.tasks.insert(task, record);
      await options.writer.recordCreated(tx, task);
    });
  } catch (error) {
    // Another request with the same key was first.
    const earlier =
      isCortexError(error) &&
      error.code === "REVISION_CONFLICT" &&
      (await findRepeat(options.store, caller, { idempotencyKey, requestSha256 }));
    if (earlier) return earlier;
    throw error;
  }
  options.writer.announce(undefined, task);
  return { task, isRepeat: false };
}

function assertKey(key: string | undefined): void {
  if (key === undefined) return;
  const bytes = Buffer.byteLength(key);
  if (bytes < 1 || bytes > MAX_IDEMPOTENCY_KEY_BYTES) {
    throw new CortexError(
      "BAD_REQUEST",
      `an idempotency key has 1 to ${MAX_IDEMPOTENCY_KEY_BYTES} bytes, this one has ${bytes}`,
    );
  }
}

async function findRepeat(
  store: HubStore,
  caller: Caller,
  asked: { readonly idempotencyKey: string | undefined; readonly requestSha256: string },
): Promise<Submitted | undefined> {
  if (asked.idempotencyKey === undefined) return undefined;
  const task = await store.tasks.byIdempotencyKey(caller.userId, asked.idempotencyKey);
  if (task === undefined) return undefined;
  if (task.requestSha256 === asked.requestSha256) return { task, isRepeat: true };
  throw new CortexError(
    "IDEMPOTENCY_CONFLICT",
    `the idempotency key was used for another request (task ${task.taskId})`,
    {
      details: { taskId: task.taskId },
    },
  );
}

function newTask(
  options: SubmitOptions,
  caller: Caller,
  request: SubmitRequest & { readonly requestSha256: string },
): TaskRecord {
  const nowMs = options.nowMs();
  return {
    taskId: options.ids.next("task") satisfies TaskId,
    revision: 1,
    sessionId: request.sessionId,
    ownerId: caller.userId,
    effect: request.effect ?? "once",
    idempotencyKey: request.idempotencyKey,
    requestSha256: request.requestSha256,
    createdAtMs: nowMs,
    queuedAtMs: nowMs,
    state: "queued",
    disconnected: false,
    cancelling: false,
    stalled: false,
    attempt: 0,
    nodeId: undefined,
    epoch: 0,
    leasedAtMs: undefined,
    startedAtMs: undefined,
    finishedAtMs: undefined,
    disconnectedAtMs: undefined,
    exitCode: null,
    signal: null,
    value: null,
    error: undefined,
    cause: undefined,
    isolation: undefined,
    notes: [],
  };
}

/** Refuses what no attached node could ever run. A node that is offline or full may still get the task later. */
async function assertPlaceable(tx: StoreTransaction, caller: Caller, request: SubmitRequest): Promise<void> {
  const session = await tx.sessions.get(caller.scope, request.sessionId);
  if (session === undefined) throw new CortexError("NOT_FOUND", `there is no session ${request.sessionId}`);
  if (session.status === "closed") throw new CortexError("LOCKED", `session ${request.sessionId} is being deleted`);
  const nodes: NodeRecord[] = [];
  for (const { nodeId } of session.nodes) {
    if (request.nodeId !== undefined && nodeId !== request.nodeId) continue;
    const node = await tx.nodes.get(systemScope, nodeId);
    if (node !== undefined) nodes.push(node);
  }
  if (request.nodeId !== undefined) await assertNamedNode(tx, caller, { nodeId: request.nodeId, nodes });
  const usable = nodes.filter((node) => node.revokedAtMs === undefined);
  if (usable.length === 0)
    throw new CortexError(
      "NODE_NOT_ATTACHED",
      "the session has no attached node; attach one with POST /sessions/{id}/nodes",
    );
  // A node that never registered may turn out to have the skill.
  if (!usable.some((node) => node.capabilities === undefined || hasSkill(node, request.skill))) {
    throw new CortexError("BAD_REQUEST", `no attached node has the skill "${request.skill.slice(0, 100)}"`);
  }
}

async function assertNamedNode(
  tx: StoreTransaction,
  caller: Caller,
  named: { readonly nodeId: NonNullable<SubmitRequest["nodeId"]>; readonly nodes: readonly NodeRecord[] },
): Promise<void> {
  const node = named.nodes[0] ?? (await tx.nodes.get(caller.scope, named.nodeId));
  if (node === undefined) throw new CortexError("NOT_FOUND", `there is no node ${named.nodeId}`);
  if (node.revokedAtMs !== undefined) throw new CortexError("NODE_REVOKED", `node ${named.nodeId} was revoked`);
  if (named.nodes.length === 0)
    throw new CortexError("NODE_NOT_ATTACHED", `node ${named.nodeId} is not attached to the session`);
}
