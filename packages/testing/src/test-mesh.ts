/**
 * A whole mesh for tests of what is built on Cortex: the hub and nodes of production in one process, over links, disks and
 * time that the test holds in its hands.
 *
 * Nothing happens by waiting: time moves only in `run`, `until` and `settled`. The same seed gives the same run.
 */
import { echo, type NodeCoreOptions, type NodeSkill, type SandboxDriver } from "@cortex-mesh/node-sdk";
import type { Api, DeadlineOptions, Operations } from "@cortex-mesh/orchestrator-sdk";
import { CortexError, type IsolationLevel, type NodeId, type SkillImplementation } from "@cortex-mesh/protocol";
import type { LinkEnd } from "./memory-link.js";
import { type CrashKind, type NodeWork } from "./mesh/node-machine.js";
import type { FrameTamper } from "./mesh/wire.js";
import { openWorld, type World, type WorldNode } from "./mesh/world.js";
import type { FaultRatios } from "./seeded-faults.js";
import type { VirtualClock } from "./virtual-clock.js";

/** One node of a mesh. */
export interface TestNodeOptions {
  /** @default "node-0", "node-1", … */
  readonly name?: string | undefined;
  /** @default the skills of the mesh */
  readonly skills?: readonly (NodeSkill | SkillImplementation)[] | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Tasks at once. @default 64 */
  readonly maxTasks?: number | undefined;
}

/** How a mesh is made. */
export interface TestMeshOptions {
  /** Decides ids, keys, latencies and faults. @default 1 */
  readonly seed?: number | undefined;
  /** How many nodes, or what each of them is. @default 1 */
  readonly nodes?: number | readonly TestNodeOptions[] | undefined;
  /** Skills of a node that names none. @default echo */
  readonly skills?: readonly (NodeSkill | SkillImplementation)[] | undefined;
  /** Sandboxes for skills that start processes. @default none: a skill that is a function needs no sandbox */
  readonly drivers?: ReadonlyMap<IsolationLevel, SandboxDriver> | undefined;
  /** Absolute directory of workspaces on this machine. @default none: workspaces are names without files */
  readonly workspaceRoot?: string | undefined;
  /** How often frames meet faults. @default never */
  readonly faults?: FaultRatios | undefined;
  /** Owner of the nodes. @default "alice" */
  readonly owner?: string | undefined;
  /** How long silence of a node is borne. */
  readonly deadlines?: DeadlineOptions | undefined;
  /** Changes frames on their way, for tests of a peer that misbehaves. */
  readonly tamper?: FrameTamper | undefined;
}

/** The hub of a mesh. */
export interface TestHub {
  readonly isUp: boolean;
  /** The API as one user. @throws CortexError `UNAVAILABLE` while the hub is down */
  as(user: string): Api<Operations>;
}

/** A node of a mesh. */
export interface TestNode {
  readonly nodeId: NodeId;
  readonly name: string;
  readonly isUp: boolean;
  /** The hub has welcomed it. */
  readonly isOnline: boolean;
}

/** A mesh at work. */
export interface TestMesh extends AsyncDisposable {
  readonly seed: number;
  readonly clock: VirtualClock;
  readonly hub: TestHub;
  /** What hub and nodes said, oldest first. */
  readonly log: readonly string[];
  /** @throws RangeError when there is no such node */
  node(index: number): TestNode;
  /** Moves time. */
  run(durationMs: number): Promise<void>;
  /** Moves time until the condition holds. @throws CortexError `TIMED_OUT` after `limitMs`, 10 minutes by default */
  until(what: string, holds: () => boolean | Promise<boolean>, limitMs?: number): Promise<void>;
  /** Moves time until the promise is settled, and gives what it gives. */
  settled<T>(promise: Promise<T>): Promise<T>;
  /** Changes how often frames meet faults from now on. */
  setFaults(faults: FaultRatios): void;
  /** Ends the hub's process at once: `kill` is heard by the nodes, `power` is not. @param kind default "kill" */
  crashHub(kind?: CrashKind): void;
  /** Starts the hub again over what was durable. */
  restartHub(): Promise<void>;
  /** Ends the process of a node at once; with `power` what was not synced is lost too. @param kind default "kill" */
  crashNode(index: number, kind?: CrashKind): void;
  /** Starts a node again over what was durable. */
  restartNode(index: number): Promise<void>;
  /** Drains a node and ends it. */
  drainNode(index: number, graceMs?: number): Promise<void>;
  /** Breaks the open streams of a node; ends that do not hear of it notice by the silence. @param hears default both */
  cut(index: number, hears?: readonly LinkEnd[]): void;
  /** Lets nothing pass between a node and the hub. */
  partition(index: number): void;
  /** Ends the partition of a node, or of all. */
  heal(index?: number): void;
  /** Sets the wall clock of a node, or of the hub, forward or back. */
  jumpClock(machine: number | "hub", byMs: number): void;
  /** Ends the nodes and the hub in order. Idempotent. */
  close(): Promise<void>;
}

const DEFAULT_LIMIT_MS = 10 * 60_000;
const STEP_MS = 20;
const DRAIN_GRACE_MS = 10_000;
const LATENCY_MS = { min: 1, max: 10 };
/** Nodes come online within this time when nothing fails. */
const ONLINE_WITHIN_MS = 60_000;

/**
 * Makes a mesh; its nodes are online.
 *
 * @example
 * ```ts
 * await using mesh = await createTestMesh({ seed: 7, nodes: 2, skills: [wordCount], faults: { drop: 0.01 } });
 * const alice = mesh.hub.as("alice");
 * ```
 */
export async function createTestMesh(options: TestMeshOptions = {}): Promise<TestMesh> {
  const { seed = 1, owner = "alice" } = options;
  const log: string[] = [];
  let faults: FaultRatios = {};
  const world = await openWorld({
    seed,
    ownerId: owner,
    nodes: describeNodes(options),
    latencyMs: LATENCY_MS,
    ratios: () => faults,
    deadlines: options.deadlines ?? {},
    hooks: { log: (line) => void log.push(line), ...(options.tamper === undefined ? {} : { tamper: options.tamper }) },
  });
  const mesh = toMesh({ world, log, seed, setFaults: (next) => (faults = next) });
  for (const index of world.nodes.keys()) await mesh.settled(world.startNode(index));
  await mesh.until("the nodes", () => world.nodes.every(({ machine }) => machine.isOnline), ONLINE_WITHIN_MS);
  mesh.setFaults(options.faults ?? {});
  return mesh;
}

function describeNodes(options: TestMeshOptions): { readonly name: string; readonly work: NodeWork }[] {
  const { nodes = 1, skills = [echo()] } = options;
  const list = typeof nodes === "number" ? Array.from({ length: nodes }, (): TestNodeOptions => ({})) : nodes;
  return list.map((node, index) => {
    const name = node.name ?? `node-${index}`;
    return { name, work: workOf(options, { ...node, skills: node.skills ?? skills }) };
  });
}

function workOf(
  { drivers, workspaceRoot }: TestMeshOptions,
  node: TestNodeOptions & Pick<NodeCoreOptions, "skills">,
): NodeWork {
  return {
    skills: node.skills,
    labels: node.labels,
    maxTasks: node.maxTasks,
    workspaceRoot,
    drivers: () => drivers ?? new Map([["none", NO_PROCESSES]]),
    // Without a directory of this machine a workspace is its name.
    preparePlace:
      workspaceRoot === undefined
        ? ({ workspaceRoot: root, workspacePath, sessionId, cwd }) => {
            const path = `${root}/${workspacePath === "" ? sessionId : workspacePath}`;
            return Promise.resolve({ workspacePath: path, cwd: cwd === "" ? path : `${path}/${cwd}` });
          }
        : undefined,
  };
}

const NO_PROCESSES: SandboxDriver = {
  name: "function",
  start: () => Promise.reject(new CortexError("NOT_SUPPORTED", "this mesh has no processes; pass `drivers`")),
};

interface MeshParts {
  readonly world: World;
  readonly log: readonly string[];
  readonly seed: number;
  readonly setFaults: (faults: FaultRatios) => void;
}

function toMesh({ world, log, seed, setFaults }: MeshParts): TestMesh {
  const { clock, hub, nodes } = world;
  let closing: Promise<void> | undefined;
  const until: TestMesh["until"] = async (what, holds, limitMs = DEFAULT_LIMIT_MS) => {
    const untilMs = clock.monotonicMs() + limitMs;
    while (!(await holds())) {
      if (clock.monotonicMs() >= untilMs) throw tooLate(what, seed, log);
      await clock.advance(STEP_MS);
    }
  };
  const settled = async <T>(promise: Promise<T>): Promise<T> => {
    let isSettled = false;
    const note = (): void => {
      isSettled = true;
    };
    promise.then(note, note);
    await until("the promise", () => isSettled);
    return promise;
  };
  const close = (): Promise<void> => (closing ??= settled(world.close()));
  return {
    seed,
    clock,
    log,
    hub: {
      get isUp() {
        return hub.isUp;
      },
      as: (user) => hub.as(user),
    },
    node: (index) => toNode(world.node(index)),
    run: (durationMs) => clock.advance(durationMs),
    until,
    settled,
    setFaults,
    crashHub: (kind = "kill") => world.crashHub(kind),
    restartHub: () => settled(world.startHub()),
    crashNode: (index, kind = "kill") => world.crashNode(index, kind),
    restartNode: (index) => settled(world.startNode(index)),
    drainNode: (index, graceMs = DRAIN_GRACE_MS) => settled(world.node(index).machine.drain(graceMs)),
    cut: (index, hears = ["first", "second"]) => world.node(index).wire.cut(hears),
    partition: (index) => world.node(index).wire.partition(),
    heal(index) {
      for (const { wire } of index === undefined ? nodes : [world.node(index)]) wire.heal();
    },
    jumpClock: (machine, byMs) => (machine === "hub" ? hub : world.node(machine).machine).jumpClock(byMs),
    close,
    [Symbol.asyncDispose]: close,
  };
}

function toNode({ name, machine }: WorldNode): TestNode {
  return {
    name,
    nodeId: machine.nodeId,
    get isUp() {
      return machine.isUp;
    },
    get isOnline() {
      return machine.isOnline;
    },
  };
}

const TOLD_LINES = 20;

function tooLate(what: string, seed: number, log: readonly string[]): CortexError {
  const last = log.slice(-TOLD_LINES).join(" | ");
  return new CortexError("TIMED_OUT", `${what} did not come (seed ${seed}); the last that was said: ${last}`);
}
