/** The parts of a hub on a store in memory, output files in a temporary directory and time that the test moves. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { CortexError, type NodeId, type SessionId, systemIds, type TaskId } from "@cortex-mesh/protocol";
import { createVirtualClock, type VirtualClock } from "@cortex-mesh/testing";
import { createCaller } from "../../src/access/caller.js";
import { systemScope } from "../../src/access/scope.js";
import { createHubParts, type HubParts } from "../../src/hub-parts.js";
import { type HubAuthority, openAuthority } from "../../src/nodes/authority.js";
import type { HubServices } from "../../src/operations/services.js";
import { createMemoryStore, type MemoryStore } from "../../src/store/memory/memory-store.js";
import type { NodeRecord, TaskRecord } from "../../src/store/records.js";
import type { DeadlineOptions } from "../../src/tasks/deadlines.js";
import { type OutputFiles, openOutputFiles } from "../../src/tasks/output-files.js";
import type { SubmitRequest } from "../../src/tasks/task-service.js";
import { connectScriptedNode, type ScriptedNode, type ScriptedNodeOptions } from "./scripted-node.js";
import { nodeRecord, requestRecord } from "./task-record.js";
import { until } from "./until.js";

export const alice = createCaller("alice");
export const bob = createCaller("bob");

/** What goes wrong, until it is set back. */
export interface Faults {
  /** Each commit fails as on a full disk. */
  isStoreFull: boolean;
  /** Called before each append to an output file; may throw or wait. */
  beforeAppend: (() => void | Promise<void>) | undefined;
}

export interface Mesh {
  readonly parts: HubParts;
  readonly authority: HubAuthority;
  readonly services: HubServices;
  readonly store: MemoryStore;
  readonly files: OutputFiles;
  readonly clock: VirtualClock;
  readonly faults: Faults;
  /** What the hub logged as errors and as warnings. */
  readonly errors: unknown[];
  readonly warnings: object[];
  addNode(changes?: Partial<NodeRecord>): Promise<NodeId>;
  addSession(nodeIds: readonly NodeId[]): Promise<SessionId>;
  submit(sessionId: SessionId, changes?: Partial<SubmitRequest>): Promise<TaskId>;
  task(taskId: TaskId): Promise<TaskRecord>;
  /** Resolves when the task is in the state. */
  reaches(taskId: TaskId, state: TaskRecord["state"]): Promise<TaskRecord>;
  /** A new connection of the node, with the next epoch; without a hello. */
  dial(nodeId: NodeId, options?: Pick<ScriptedNodeOptions, "request" | "faults">): Promise<ScriptedNode>;
  /** A new connection that said hello and was welcomed. */
  connect(nodeId: NodeId, options?: Pick<ScriptedNodeOptions, "request" | "faults">): Promise<ScriptedNode>;
  raiseEpoch(nodeId: NodeId): Promise<number>;
  /** Another hub on the same store and files, as after a crash of this one. */
  restart(options?: { readonly nowMs?: number }): Promise<Mesh>;
}

/** What outlives a hub. */
interface Remains {
  readonly store: MemoryStore;
  readonly directory: string;
  readonly faults: Faults;
}

export async function openMesh(
  options: { readonly deadlines?: DeadlineOptions; readonly remains?: Remains; readonly nowMs?: number } = {},
): Promise<Mesh> {
  const faults: Faults = options.remains?.faults ?? { isStoreFull: false, beforeAppend: undefined };
  const onStep = (step: string): void => {
    if (faults.isStoreFull && step === "committing") throw new CortexError("STORAGE_FULL", "the disk is full");
  };
  const directory = options.remains?.directory ?? (await mkdtemp(join(tmpdir(), "cortex-mesh-")));
  const store = options.remains?.store ?? createMemoryStore({ onStep });
  const clock = createVirtualClock(options.nowMs === undefined ? {} : { nowMs: options.nowMs });
  const errors: unknown[] = [];
  const warnings: object[] = [];
  const files = withFaults(await openOutputFiles(directory), faults);
  const authority = await openAuthority({ store, ids: systemIds });
  const parts = createHubParts({
    store,
    files,
    authority,
    caPem: undefined,
    endpoint: () => ({ address: "127.0.0.1:1", caFingerprint: "ab".repeat(32) }),
    clock,
    ids: systemIds,
    logger: {
      debug: () => undefined,
      info: () => undefined,
      warn: (facts) => void warnings.push(facts),
      error: (facts) => void errors.push("err" in facts ? facts.err : facts),
    },
    deadlines: options.deadlines,
  });
  await parts.start();
  onTestFinished(async () => {
    faults.isStoreFull = false;
    await parts.close();
    await rm(directory, { recursive: true, force: true });
  });
  const base = { parts, authority, services: parts.services, store, files, clock, faults, errors, warnings };
  const restart: Mesh["restart"] = (changes = {}) =>
    openMesh({ ...options, ...changes, remains: { store: store.crash(), directory, faults } });
  return { ...base, restart, ...createActions(base) };
}

type Base = Pick<
  Mesh,
  "parts" | "authority" | "services" | "store" | "files" | "clock" | "faults" | "errors" | "warnings"
>;

function createActions({ parts, services, store }: Base): Omit<Mesh, keyof Base | "restart"> {
  const task = async (taskId: TaskId): Promise<TaskRecord> => {
    const record = await store.tasks.get(systemScope, taskId);
    if (record === undefined) throw new Error(`no task ${taskId}`);
    return record;
  };
  const raiseEpoch = (nodeId: NodeId): Promise<number> =>
    store.transaction(async (tx) => {
      const node = await tx.nodes.get(systemScope, nodeId);
      if (node === undefined) throw new Error(`no node ${nodeId}`);
      const next = { ...node, revision: node.revision + 1, epoch: node.epoch + 1, sessionNonce: undefined };
      await tx.nodes.update(next);
      return next.epoch;
    });
  const dial: Mesh["dial"] = async (nodeId, options = {}) =>
    connectScriptedNode({ gateway: parts.gateway, nodeId, epoch: await raiseEpoch(nodeId), ...options });
  return {
    task,
    raiseEpoch,
    dial,
    async addNode(changes = {}) {
      const nodeId = systemIds.next("node");
      await store.transaction((tx) => tx.nodes.insert(nodeRecord({ nodeId, ...changes })));
      return nodeId;
    },
    async addSession(nodeIds) {
      return (await services.sessions.create(alice, { nodes: nodeIds.map((nodeId) => ({ nodeId })) })).sessionId;
    },
    async submit(sessionId, changes = {}) {
      const request = { ...requestRecord(), sessionId, effect: undefined, idempotencyKey: undefined, ...changes };
      return (await services.tasks.submit(alice, request)).task.taskId;
    },
    reaches: (taskId, state) =>
      until(async () => {
        const record = await task(taskId);
        return record.state === state ? record : undefined;
      }, `${taskId} ${state}`),
    async connect(nodeId, options) {
      const node = await dial(nodeId, options);
      await node.hello();
      await until(() => parts.connections.ready(nodeId)?.epoch === node.epoch, "the node online");
      return node;
    },
  };
}

function withFaults(files: OutputFiles, faults: Faults): OutputFiles {
  return {
    ...files,
    async append(taskId, stream, at) {
      await faults.beforeAppend?.();
      await files.append(taskId, stream, at);
    },
  };
}
