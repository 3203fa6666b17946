import type { NodeId, SessionId, TaskId, UserId } from "@cortex-mesh/protocol";
import type { NodeRecord, TaskRecord, TaskRequestRecord } from "../../src/store/records.js";

export const TASK_ID = "task_01J00000000000000000000001" as TaskId;
export const NODE_ID = "node_01J00000000000000000000001" as NodeId;
export const SESSION_ID = "ses_01J00000000000000000000001" as SessionId;
export const ALICE = "alice" as UserId;

/** A waiting task, changed as the test needs it. */
export function taskRecord(changes: Partial<TaskRecord> = {}): TaskRecord {
  return {
    taskId: TASK_ID,
    revision: 1,
    sessionId: SESSION_ID,
    ownerId: ALICE,
    effect: "once",
    idempotencyKey: undefined,
    requestSha256: "00",
    createdAtMs: 1,
    queuedAtMs: 1,
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
    ...changes,
  };
}

/** A task in its first attempt on {@link NODE_ID}. */
export function attemptRecord(state: "leased" | "running", changes: Partial<TaskRecord> = {}): TaskRecord {
  return taskRecord({ state, attempt: 1, nodeId: NODE_ID, epoch: 1, leasedAtMs: 2, ...changes });
}

/** What was asked for, changed as the test needs it. */
export function requestRecord(changes: Partial<TaskRequestRecord> = {}): TaskRequestRecord {
  return {
    skill: "shell",
    input: { command: "true" },
    nodeId: undefined,
    requires: undefined,
    cwd: undefined,
    env: {},
    secrets: [],
    stdin: false,
    pty: undefined,
    timeoutMs: undefined,
    queueTimeoutMs: undefined,
    sandbox: undefined,
    traceparent: undefined,
    ...changes,
  };
}

/** An enrolled node that registered the shell skill. */
export function nodeRecord(changes: Partial<NodeRecord> = {}): NodeRecord {
  return {
    nodeId: NODE_ID,
    revision: 1,
    ownerId: ALICE,
    name: "a",
    labels: {},
    publicKey: "00".repeat(32),
    createdAtMs: 1,
    revokedAtMs: undefined,
    epoch: 1,
    bootId: undefined,
    sessionNonce: undefined,
    version: undefined,
    capabilities: {
      os: "linux",
      arch: "x64",
      skills: [{ name: "shell" }, { name: "echo" }],
      tools: { git: "2.39.5" },
      memoryBytes: "1000",
      disk: { freeBytes: "500" },
    },
    maxTasks: 4,
    isDraining: false,
    connectedAtMs: undefined,
    lastSeenAtMs: undefined,
    reconnects: 0,
    ...changes,
  };
}
