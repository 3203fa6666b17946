/** A node's machine: state, spool and key outlive its processes, of which one runs at a time. */
import {
  createMemoryState,
  createNodeCore,
  createSpool,
  type MemoryState,
  type MemoryStateStep,
  type NodeCore,
  type NodeCoreEvents,
  type NodeCoreOptions,
  type NodeIdentity,
  type NodeState,
  type Spool,
} from "@cortex-mesh/node-sdk";
import { type Clock, type NodeId, type SigningKey, toCortexError } from "@cortex-mesh/protocol";
import type { SeededRandom } from "../random.js";
import { createProcessClock, type ProcessClock } from "./machine-clock.js";
import { createMemoryDisk, type DiskProcess, type DiskStep, type MemoryDisk } from "./memory-disk.js";

/** Places where a node can die. */
export type NodeStep = `state:${MemoryStateStep}` | `spool:${DiskStep}`;

/** How a process dies: `kill` leaves the machine as it was, `power` takes what was not synced and every process on it. */
export type CrashKind = "kill" | "power";

/** What changes in how the hub reaches a node. */
export type NodeReachChange = "online" | "offline" | "gone";

/** The process of a node as its sandbox sees it. */
export interface NodeProcess {
  readonly clock: Clock;
  readonly isGone: () => boolean;
}

/** Skills, sandboxes and limits of a node. */
export type NodeWork = Pick<NodeCoreOptions, "skills" | "labels" | "maxTasks" | "preparePlace"> & {
  /** Absolute. @default "/work" */
  readonly workspaceRoot?: string | undefined;
  /** Makes the sandboxes of a new process. */
  readonly drivers: (process: NodeProcess) => NodeCoreOptions["drivers"];
  /** Ends what an earlier process left running. */
  readonly sweep?: (() => Promise<void>) | undefined;
  /** The machine lost its power. */
  readonly onPowerLost?: (() => void) | undefined;
};

/** What a node's machine is made of. */
export interface NodeMachineOptions {
  readonly clock: Clock;
  readonly random: SeededRandom;
  readonly identity: NodeIdentity;
  readonly key: SigningKey;
  readonly work: NodeWork;
  readonly dial: (isGone: () => boolean) => NodeCoreOptions["dial"];
  /** Puts something between the node and its state; for tests that break a rule on purpose. */
  readonly wrapState?: ((state: NodeState) => NodeState) | undefined;
  readonly onStep: (step: NodeStep) => void;
  readonly onReach: (what: NodeReachChange) => void;
  readonly log: (line: string) => void;
}

/** A node's machine. */
export interface NodeMachine {
  readonly nodeId: NodeId;
  readonly isUp: boolean;
  readonly isOnline: boolean;
  /** Files of output on its disk. */
  readonly spooledFileCount: number;
  /** Starts a process over what is durable. Resolves when it dials, or died before. */
  start(): Promise<void>;
  crash(kind: CrashKind): void;
  /** Drains the process that runs and ends it. Resolves when it ended, in order or not. */
  drain(graceMs: number): Promise<void>;
  jumpClock(byMs: number): void;
  close(): Promise<void>;
}

interface RunningNode extends NodeProcess {
  readonly clock: ProcessClock;
  readonly disk: DiskProcess;
  readonly spool: Spool;
  readonly core: NodeCore;
  /** Resolves when the process is gone. */
  readonly gone: Promise<void>;
  readonly leave: () => void;
}

interface Machine {
  readonly options: NodeMachineOptions;
  readonly disk: MemoryDisk;
  state: MemoryState;
  running: RunningNode | undefined;
  wallOffsetMs: number;
  boots: number;
  isOnline: boolean;
}

/** Makes a machine on which nothing runs yet. */
export function createNodeMachine(options: NodeMachineOptions): NodeMachine {
  const onStep = (step: MemoryStateStep): void => {
    if (machine.running !== undefined) options.onStep(`state:${step}`);
  };
  const machine: Machine = {
    options,
    disk: createMemoryDisk(),
    state: createMemoryState({ onStep }),
    running: undefined,
    wallOffsetMs: 0,
    boots: 0,
    isOnline: false,
  };
  return {
    nodeId: options.identity.nodeId,
    get isUp() {
      return machine.running !== undefined;
    },
    get isOnline() {
      return machine.isOnline;
    },
    get spooledFileCount() {
      return machine.disk.fileCount;
    },
    async start() {
      if (machine.running !== undefined) return;
      const process = boot(machine);
      machine.running = process;
      await untilGone(process, process.core.start()).catch((error: unknown) =>
        options.log(`start failed ${toCortexError(error).message}`),
      );
    },
    crash(kind) {
      if (machine.running === undefined) return;
      end(machine, machine.running);
      if (kind === "kill") return;
      machine.disk.losePower(options.random);
      options.work.onPowerLost?.();
    },
    drain: (graceMs) => drain(machine, graceMs),
    jumpClock(byMs) {
      machine.wallOffsetMs += byMs;
    },
    async close() {
      const process = machine.running;
      if (process === undefined) return;
      await stop(process);
      end(machine, process);
    },
  };
}

function boot(machine: Machine): RunningNode {
  const { options, disk, state } = machine;
  machine.boots += 1;
  const clock = createProcessClock(options.clock, () => machine.wallOffsetMs);
  const files = disk.open((step) => options.onStep(`spool:${step}`));
  const isGone = (): boolean => machine.running !== process;
  const spool = createSpool({ directory: "/spool", clock, files });
  let leave = (): void => undefined;
  const gone = new Promise<void>((resolve) => {
    leave = resolve;
  });
  const core = createNodeCore({
    ...coreOptions(options, { clock, isGone }),
    state: options.wrapState?.(state) ?? state,
    spool,
    bootId: `boot-${machine.boots}`,
    events: createEvents(machine, isGone),
  });
  const process: RunningNode = { gone, leave, clock, disk: files, isGone, spool, core };
  return process;
}

/** What a process tells; nothing of one that is gone. */
function createEvents(machine: Machine, isGone: () => boolean): NodeCoreEvents {
  const say = (line: string): void => {
    if (!isGone()) machine.options.log(line);
  };
  const setOnline = (isOnline: boolean): void => {
    if (isGone()) return;
    machine.isOnline = isOnline;
    machine.options.onReach(isOnline ? "online" : "offline");
  };
  return {
    online() {
      setOnline(true);
      say("online");
    },
    offline(reason) {
      setOnline(false);
      say(`offline ${reason?.code ?? "in order"}`);
    },
    connectFailed: (error) => say(`connect failed ${error.code}`),
    draining: () => say("draining"),
    drainRequested: () => say("drain requested"),
    refused: (error) => say(`refused ${error.message}`),
  };
}

/** The process is gone, whatever it was doing. */
function end(machine: Machine, process: RunningNode): void {
  machine.running = undefined;
  machine.isOnline = false;
  process.clock.stop();
  process.disk.end();
  process.leave();
  machine.options.onReach("gone");
  machine.state = machine.state.crash();
}

async function drain(machine: Machine, graceMs: number): Promise<void> {
  const process = machine.running;
  if (process === undefined) return;
  await untilGone(process, process.core.drain({ graceMs })).catch(() => {
    // What it could not write is what a crash would leave.
  });
  if (!process.isGone()) await untilGone(process, stop(process));
  if (!process.isGone()) end(machine, process);
}

async function stop({ core, spool }: RunningNode): Promise<void> {
  await core.close();
  await spool.close().catch(() => {
    // What could not be flushed is what a crash would lose.
  });
}

/** Gives up waiting when the process is gone: nothing of it is answered any more. */
async function untilGone(process: RunningNode, work: Promise<void>): Promise<void> {
  await Promise.race([work, process.gone]);
}

function coreOptions({ identity, key, random, work, dial }: NodeMachineOptions, process: NodeProcess) {
  return {
    identity: { ...identity, workspaceRoot: work.workspaceRoot ?? identity.workspaceRoot },
    key,
    skills: work.skills,
    drivers: work.drivers(process),
    dial: dial(process.isGone),
    clock: process.clock,
    random: () => random.next(),
    randomBytes: (sizeBytes: number) => random.bytes(sizeBytes),
    machine: {
      capabilities: (skills) => ({ os: "linux", skills: skills.map(({ name, version }) => ({ name, version })) }),
      figures: () => ({}),
    },
    hostEnv: {},
    sweep: work.sweep ?? (() => Promise.resolve()),
    labels: work.labels,
    maxTasks: work.maxTasks,
    preparePlace: work.preparePlace,
  } satisfies Partial<NodeCoreOptions>;
}
