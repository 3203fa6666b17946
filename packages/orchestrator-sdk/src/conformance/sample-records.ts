/** Records to store in the cases, complete and different enough to notice a field that gets lost. */
import assert from "node:assert/strict";
import {
  type CortexErrorCode,
  type InviteId,
  isCortexError,
  type NodeId,
  type SessionId,
  type TaskId,
  type UserId,
} from "@cortex-mesh/protocol";
import type {
  InviteRecord,
  NewTaskEvent,
  NodeRecord,
  SessionRecord,
  TaskRecord,
  TaskRequestRecord,
  UserRecord,
} from "../store/records.js";
import type { HubStore } from "../store/store.js";

/** Two users whose things must not mix. */
export const ALICE = "alice" as UserId;
export const BOB = "bob" as UserId;

const AT_MS = 1_700_000_000_000;

/** The n-th id of a kind; ids rise with n. */
export const nodeId = (n: number): NodeId => id("node", n) as NodeId;
export const sessionId = (n: number): SessionId => id("ses", n) as SessionId;
export const taskId = (n: number): TaskId => id("task", n) as TaskId;
export const inviteId = (n: number): InviteId => id("inv", n) as InviteId;

function id(prefix: string, n: number): string {
  return `${prefix}_${String(n).padStart(26, "0")}`;
}

/** A user with a token of its own. */
export function user(userId: UserId): UserRecord {
  return { userId, tokenSha256: `token of ${userId}`, isAdmin: userId === ALICE, createdAtMs: AT_MS };
}

/** An unused invite. */
export function invite(n: number, ownerId: UserId = ALICE): InviteRecord {
  return {
    inviteId: inviteId(n),
    revision: 1,
    ownerId,
    name: `invite ${n}`,
    labels: { zone: "a" },
    secretHmac: "00ff",
    createdAtMs: AT_MS + n,
    expiresAtMs: AT_MS + 900_000,
    revokedAtMs: undefined,
    usedAtMs: undefined,
    usedByKey: undefined,
    nodeId: undefined,
    failedTries: 0,
  };
}

/** A connected node. */
export function node(n: number, ownerId: UserId = ALICE): NodeRecord {
  return {
    nodeId: nodeId(n),
    revision: 1,
    ownerId,
    name: `node ${n}`,
    labels: { os: "linux", zone: "b" },
    publicKey: "ab".repeat(32),
    createdAtMs: AT_MS + n,
    revokedAtMs: undefined,
    epoch: 7,
    bootId: "boot",
    sessionNonce: "nonce",
    version: "0.1.0",
    capabilities: { skills: [{ name: "shell" }], memoryBytes: 2 ** 40 },
    maxTasks: 64,
    isDraining: false,
    connectedAtMs: AT_MS + 1,
    lastSeenAtMs: AT_MS + 2,
    reconnects: 3,
  };
}

/** An active session with one node. */
export function session(n: number, ownerId: UserId = ALICE): SessionRecord {
  return {
    sessionId: sessionId(n),
    revision: 1,
    ownerId,
    name: `session ${n}`,
    status: "active",
    nodes: [{ nodeId: nodeId(1), path: "demo", attachedAtMs: AT_MS }],
    parentId: undefined,
    createdAtMs: AT_MS + n,
  };
}

/** A queued task of session 1. */
export function task(n: number, changes: Partial<TaskRecord> = {}): TaskRecord {
  return {
    taskId: taskId(n),
    revision: 1,
    sessionId: sessionId(1),
    ownerId: ALICE,
    effect: "once",
    idempotencyKey: undefined,
    requestSha256: "cd".repeat(32),
    createdAtMs: AT_MS + n,
    queuedAtMs: AT_MS + n,
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
    notes: [{ atMs: AT_MS, text: "no node is attached" }],
    ...changes,
  };
}

/** What the tasks ask for. */
export function request(changes: Partial<TaskRequestRecord> = {}): TaskRequestRecord {
  return {
    skill: "shell",
    input: { command: "npm test" },
    nodeId: nodeId(1),
    requires: { os: "linux" },
    cwd: "src",
    env: { CI: "1" },
    secrets: ["token"],
    stdin: true,
    pty: { columns: 80, rows: 24 },
    timeoutMs: 60_000,
    queueTimeoutMs: undefined,
    sandbox: { level: "workspace" },
    traceparent: undefined,
    ...changes,
  };
}

/** A state event with a content of its own. */
export function event(n: number): NewTaskEvent {
  return { kind: "state", atMs: AT_MS + n, data: { n }, offset: 0, length: 0 };
}

/** Stores a task and its request. */
export async function insertTask(store: HubStore, record: TaskRecord, asked = request()): Promise<void> {
  await store.transaction((tx) => tx.tasks.insert(record, asked));
}

/** Asserts that two records say the same; a property that is `undefined` may be absent. */
export function assertSame(actual: unknown, expected: unknown): void {
  assert.deepEqual(withoutUndefined(actual), withoutUndefined(expected));
}

function withoutUndefined(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutUndefined);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  return Object.fromEntries(entries.map(([name, item]) => [name, withoutUndefined(item as unknown)]));
}

/** Asserts that a call rejects with this code. */
export async function assertRefused(call: Promise<unknown>, code: CortexErrorCode): Promise<void> {
  await assert.rejects(call, (error: unknown) => {
    assert.ok(isCortexError(error), `expected a CortexError, got ${String(error)}`);
    assert.equal(error.code, code);
    return true;
  });
}
