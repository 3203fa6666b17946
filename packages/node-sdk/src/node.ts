/**
 * A node on this machine: state on disk, hub over gRPC, processes of the system.
 */
import { randomBytes } from "node:crypto";
import { EventEmitter } from "node:events";
import { mkdirSync } from "node:fs";
import { hostname } from "node:os";
import { resolve } from "node:path";
import { ulid } from "ulid";
import { type Clock, CortexError, decodeInvite, systemClock } from "@cortex-mesh/protocol";
import { createCapabilitySource } from "./health/capabilities.js";
import { createHealthMeter } from "./health/figures.js";
import { enrol } from "./link/enrol.js";
import { grpcDial, openGrpcEnrolment } from "./link/grpc-transport.js";
import { createNodeCore, type NodeCore } from "./node/core.js";
import type { NodeCoreEvents } from "./node/core-options.js";
import { machineFacts } from "./node/machine.js";
import type { CortexNode, NodeEmitter, NodeOptions, RunOptions } from "./node/node-options.js";
import { createSpool, type Spool } from "./runner/spool.js";
import { createNoneDriver } from "./sandbox/drivers/none.js";
import { cleanPath } from "./sandbox/environment.js";
import { createPipePool, type PipePool } from "./sandbox/pipe-pool.js";
import { sweepMarked } from "./sandbox/process-tree.js";
import { echo } from "./skills/echo.js";
import { shell } from "./skills/shell.js";
import { type NodeIdentity, readIdentity } from "./state/identity.js";
import { openStateDirectory, type StateDirectory } from "./state/state-directory.js";

export type { CortexNode, NodeEvents, NodeOptions, NodeTask, RunOptions } from "./node/node-options.js";

/**
 * Opens a node over its state directory.
 *
 * @throws CortexError `STATE_IN_USE` when another process uses the directory or it cannot be written.
 *
 * @example
 * ```ts
 * const node = await createNode({ stateDirectory: "state", workspaceRoot: "workspaces" });
 * await node.run({ invite, signal });
 * ```
 */
export async function createNode(options: NodeOptions): Promise<CortexNode> {
  const directory = openStateDirectory(options.stateDirectory);
  try {
    const identity = await readIdentity(directory.state);
    return assembleNode({ options, directory, identity, clock: options.clock ?? systemClock });
  } catch (error) {
    await directory.close();
    throw error;
  }
}

const KEEP_ALIVE_MS = 2 ** 30;

interface NodeBase {
  readonly options: NodeOptions;
  readonly directory: StateDirectory;
  readonly identity: NodeIdentity | undefined;
  readonly clock: Clock;
}

interface RunningNode {
  readonly base: NodeBase;
  readonly emitter: NodeEmitter;
  readonly closing: AbortController;
  identity: NodeIdentity | undefined;
  core: NodeCore | undefined;
  spool: Spool | undefined;
  pipes: PipePool | undefined;
  starting: Promise<void> | undefined;
  closed: Promise<void> | undefined;
  ending: Promise<void> | undefined;
  settle: (error: CortexError | undefined) => void;
}

function assembleNode(base: NodeBase): CortexNode {
  const emitter = new EventEmitter() as NodeEmitter;
  const state: RunningNode = {
    base,
    emitter,
    closing: new AbortController(),
    identity: base.identity,
    core: undefined,
    spool: undefined,
    pipes: undefined,
    starting: undefined,
    closed: undefined,
    ending: undefined,
    settle: () => {},
  };
  const closed = new Promise<CortexError | undefined>((settle) => {
    state.settle = settle;
  });
  const closeOnce = (): Promise<void> => (state.closed ??= close(state));
  const node: CortexNode = {
    get nodeId() {
      return state.identity?.nodeId;
    },
    enrol: (invite) => enrolNode(state, invite),
    start: () => (state.starting ??= start(state, closeOnce)),
    drain: (request) => drain(state, request),
    close: closeOnce,
    closed,
    run: (request = {}) => run(node, request),
    on: (event, listener) => void emitter.on(event, listener),
    off: (event, listener) => void emitter.off(event, listener),
    [Symbol.asyncDispose]: closeOnce,
  };
  return node;
}

async function start(state: RunningNode, closeNode: () => Promise<void>): Promise<void> {
  const { base, identity, emitter } = state;
  assertOpen(state.closing.signal);
  if (identity === undefined) throw new CortexError("UNAUTHENTICATED", "the node is not enrolled; it needs an invite");
  const placed = { ...identity, workspaceRoot: resolve(base.options.workspaceRoot ?? identity.workspaceRoot) };
  state.spool = createSpool({ directory: base.directory.spoolPath, clock: base.clock });
  const events = toEvents(emitter, placed, (graceMs) => void drainThenClose(drain(state, { graceMs }), closeNode));
  state.pipes = createPipePool(base.directory.path);
  const core = await openCore({ ...base, identity: placed }, { spool: state.spool, pipes: state.pipes, events });
  state.core = core;
  await core.start();
  // Whoever closes the node hears how its end went; without a close nobody asks.
  core.ended.then((error) => endOnce(state, error)).catch(() => {});
}

/** Closes also when the drain failed: what it could not write is what a crash would leave. */
async function drainThenClose(draining: Promise<void>, closeNode: () => Promise<void>): Promise<void> {
  try {
    await draining.finally(closeNode);
  } catch {
    // The end of the node is told by `closed`, and whoever closes it hears more.
  }
}

async function drain(
  { core, base }: RunningNode,
  request: { readonly graceMs?: number; readonly signal?: AbortSignal } = {},
): Promise<void> {
  await core?.drain({ graceMs: request.graceMs ?? base.options.drainGraceMs, signal: request.signal });
}

function endOnce(state: RunningNode, error: CortexError | undefined): Promise<void> {
  return (state.ending ??= end(state, error));
}

/** Gives everything back when the core is over. */
async function end(state: RunningNode, error: CortexError | undefined): Promise<void> {
  await state.core?.close();
  state.pipes?.close();
  try {
    await state.spool?.close();
  } catch {
    // What could not be flushed is what a crash would lose; the next start deals with it.
  }
  try {
    await state.base.directory.close();
  } finally {
    state.settle(error);
    state.emitter.emit("stopped", { error });
  }
}

async function close(state: RunningNode): Promise<void> {
  state.closing.abort();
  try {
    await state.starting;
  } catch {
    // Whoever started it hears why it did not start; there is nothing more to close than below.
  }
  await state.core?.close();
  await endOnce(state, await state.core?.ended);
}

async function enrolNode(state: RunningNode, text: string): Promise<{ nodeId: NodeIdentity["nodeId"] }> {
  assertOpen(state.closing.signal);
  const { directory, options, clock } = state.base;
  const invite = decodeInvite(text);
  if (state.identity !== undefined && state.identity.inviteId !== invite.inviteId) {
    const message = `${directory.path} belongs to ${state.identity.nodeId}; another node needs another state directory`;
    throw new CortexError("STATE_IN_USE", message, { details: { nodeId: state.identity.nodeId } });
  }
  const identity = await enrol({
    invite,
    open: openGrpcEnrolment,
    key: directory.key,
    state: directory.state,
    clock,
    nodeName: options.name ?? hostname(),
    workspaceRoot: resolve(options.workspaceRoot ?? "workspaces"),
  });
  state.identity = identity;
  return { nodeId: identity.nodeId };
}

/** Works until the signal, then drains; whatever happens, the node is closed afterwards. */
async function run(node: CortexNode, { invite, signal }: RunOptions): Promise<void> {
  const onAbort = (): void => void drainThenClose(node.drain(), () => node.close());
  // Timers of the clock keep no process alive; a run does, also while the hub cannot be reached.
  const keepAlive = setInterval(() => {}, KEEP_ALIVE_MS);
  try {
    if (node.nodeId === undefined && invite !== undefined) await node.enrol(invite);
    if (signal?.aborted) return;
    await node.start();
    if (signal?.aborted) onAbort();
    else signal?.addEventListener("abort", onAbort, { once: true });
    const error = await node.closed;
    if (error !== undefined) throw error;
  } finally {
    signal?.removeEventListener("abort", onAbort);
    clearInterval(keepAlive);
    await node.close();
  }
}

async function openCore(
  base: NodeBase & { readonly identity: NodeIdentity },
  { spool, pipes, events }: { readonly spool: Spool; readonly pipes: PipePool; readonly events: NodeCoreEvents },
): Promise<NodeCore> {
  const { options, directory, identity, clock } = base;
  const { workspaceRoot, nodeId } = identity;
  mkdirSync(workspaceRoot, { recursive: true, mode: 0o700 });
  const env = { PATH: cleanPath(process.env["PATH"] ?? "") };
  const capabilities = createCapabilitySource({ workspaceRoot, env, sandboxes: ["none"], clock });
  // Tasks are routed by what is found, so it is told with the first registration; looking is bounded to a few seconds.
  await capabilities.refresh().catch(() => {
    // What could not be found out is left out; the base is known.
  });
  const meter = createHealthMeter({ workspaceRoot, clock });
  const dial = options.dial?.(identity) ?? grpcDial(identity);
  return createNodeCore({
    identity,
    key: directory.key,
    state: directory.state,
    spool,
    skills: options.skills ?? [shell(), echo()],
    drivers: new Map([["none", createNoneDriver({ nodeId, clock, pipes })]]),
    dial,
    clock,
    random: Math.random,
    randomBytes: (sizeBytes) => Uint8Array.from(randomBytes(sizeBytes)),
    bootId: ulid(),
    machine: machineFacts(capabilities, meter, ["none"]),
    hostEnv: process.env,
    sweep: () => sweepMarked({ nodeId }, clock),
    events,
    labels: options.labels,
    maxTasks: options.maxTasks,
    defaultLevel: options.sandboxLevel,
    maxOutputBytes: options.maxOutputBytes,
    maxRetries: options.maxRetries,
  });
}

function toEvents(
  emitter: NodeEmitter,
  identity: NodeIdentity,
  onDrainRequested: (graceMs: number) => void,
): NodeCoreEvents {
  const { nodeId, address } = identity;
  return {
    online: () => void emitter.emit("online", { nodeId, hub: address }),
    offline: (reason) => void emitter.emit("offline", { reason }),
    connectFailed: (error, waitMs) => void emitter.emit("connectFailed", { error, waitMs }),
    draining: (graceMs) => void emitter.emit("draining", { graceMs }),
    drainRequested: onDrainRequested,
    refused: (error) => void emitter.emit("refused", { error }),
    reported(report) {
      if (report.case !== "started" && report.case !== "response") return;
      const { taskId = "", attempt = 0 } = report.value;
      if (report.case === "started") emitter.emit("taskStarted", { taskId, attempt });
      else {
        const { exitCode, errorCode } = report.value;
        emitter.emit("taskEnded", { taskId, attempt, exitCode, code: errorCode === "" ? undefined : errorCode });
      }
    },
  };
}

function assertOpen(signal: AbortSignal): void {
  if (signal.aborted) throw new CortexError("UNAVAILABLE", "the node is closed");
}
