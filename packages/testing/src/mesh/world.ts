/** A whole mesh in one process: a hub's machine, nodes' machines and the wires between them, on one virtual clock. */
import { create } from "@bufbuild/protobuf";
import type { NodeIdentity, NodeState } from "@cortex-mesh/node-sdk";
import type { DeadlineOptions } from "@cortex-mesh/orchestrator-sdk";
import {
  decodeInvite,
  type NodeId,
  type SigningKey,
  signEnrollmentProof,
  signingKeyFromSeed,
} from "@cortex-mesh/protocol";
import { BeginEnrollmentRequestSchema, FinishEnrollmentRequestSchema } from "@cortex-mesh/protocol/gen";
import { createSeededRandom, type SeededRandom } from "../random.js";
import type { FaultKind, FaultRatios } from "../seeded-faults.js";
import { createVirtualClock, type VirtualClock } from "../virtual-clock.js";
import { type CallQueue, createCallQueue } from "./call-queue.js";
import { createHubMachine, type HubMachine, type HubStep } from "./hub-machine.js";
import {
  type CrashKind,
  createNodeMachine,
  type NodeMachine,
  type NodeReachChange,
  type NodeStep,
  type NodeWork,
} from "./node-machine.js";
import { createSeededIds } from "./seeded-ids.js";
import { createMemoryTransport } from "./transport.js";
import { createWire, type FrameTamper, type StreamKind, type Wire } from "./wire.js";

const KEY_SEED_BYTES = 32;

/** What may be watched and changed from outside. */
export interface WorldHooks {
  readonly onHubStep?: (step: HubStep) => void;
  readonly onNodeStep?: (index: number, step: NodeStep) => void;
  readonly onFault?: (kind: FaultKind, stream: StreamKind, index: number) => void;
  /** A node came online or went offline, or its process is gone. */
  readonly onReach?: (index: number, what: NodeReachChange) => void;
  readonly log?: (line: string) => void;
  readonly tamper?: FrameTamper;
  readonly wrapState?: (state: NodeState) => NodeState;
  /** Commits of the hub for each sync. @default 1 */
  readonly syncEvery?: number;
  /** Whether the answer of a call gets lost. */
  readonly isAnswerLost?: () => boolean;
}

/** What a mesh is made of. */
export interface WorldOptions {
  readonly seed: number;
  readonly ownerId: string;
  /** Names and work of the nodes. */
  readonly nodes: readonly { readonly name: string; readonly work: NodeWork }[];
  readonly latencyMs: { readonly min: number; readonly max: number };
  readonly ratios: (kind: StreamKind) => FaultRatios;
  readonly deadlines: DeadlineOptions;
  /** Turns of the event loop for each moment. */
  readonly turns?: number;
  readonly hooks: WorldHooks;
}

/** A node of a mesh. */
export interface WorldNode {
  readonly name: string;
  readonly machine: NodeMachine;
  readonly wire: Wire;
}

/** A mesh at work. */
export interface World {
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly hub: HubMachine;
  readonly nodes: readonly WorldNode[];
  node(index: number): WorldNode;
  /** Every stream of every node breaks; with `power` nobody hears of it. */
  crashHub(kind: CrashKind): void;
  /** Starts the hub again. Dead streams break when it answers again. */
  startHub(): Promise<void>;
  crashNode(index: number, kind: CrashKind): void;
  startNode(index: number): Promise<void>;
  close(): Promise<void>;
}

/** Makes a mesh: the hub runs, the nodes are enrolled and dial. */
export async function openWorld(options: WorldOptions): Promise<World> {
  const { hooks } = options;
  const random = createSeededRandom(options.seed);
  const calls = createCallQueue();
  const { turns } = options;
  const clock = createVirtualClock({ settle: () => calls.settle(), ...(turns === undefined ? {} : { turns }) });
  const log = hooks.log ?? ((): void => undefined);
  const hub = createHubMachine({
    clock,
    random: random.fork("hub"),
    ids: createSeededIds(clock, random.fork("ids")),
    deadlines: options.deadlines,
    syncEvery: hooks.syncEvery,
    onStep: (step) => hooks.onHubStep?.(step),
    log: (line) => log(`hub: ${line}`),
  });
  await hub.start();
  const nodes: WorldNode[] = [];
  for (const [index, { name, work }] of options.nodes.entries()) {
    nodes.push(await addNode(options, { clock, calls, hub, random: random.fork(`node ${index}`), index, name, work }));
  }
  // A node that dials before its hub synced would be one that nobody knows.
  hub.store.sync();
  return toWorld({ clock, random, hub, nodes });
}

function toWorld(parts: Pick<World, "clock" | "random" | "hub" | "nodes">): World {
  const { hub, nodes } = parts;
  const node = (index: number): WorldNode => {
    const found = nodes[index];
    if (found === undefined) throw new RangeError(`there are ${nodes.length} nodes, none of the number ${index}`);
    return found;
  };
  return {
    ...parts,
    node,
    crashHub(kind) {
      hub.crash();
      for (const { wire } of nodes) wire.cut(kind === "kill" ? ["first"] : []);
    },
    async startHub() {
      if (hub.isRunning) return;
      await hub.start();
      for (const { wire } of nodes) wire.cut(["first"]);
    },
    crashNode(index, kind) {
      const { machine, wire } = node(index);
      machine.crash(kind);
      wire.cut(kind === "kill" ? ["second"] : []);
    },
    startNode(index) {
      const { machine, wire } = node(index);
      // A machine that is back says of old streams that it knows nothing of them.
      if (!machine.isUp) wire.cut(["first", "second"]);
      return machine.start();
    },
    async close() {
      for (const { machine } of nodes) await machine.close();
      await hub.close();
    },
  };
}

interface NewNode {
  readonly clock: VirtualClock;
  readonly calls: CallQueue;
  readonly hub: HubMachine;
  readonly random: SeededRandom;
  readonly index: number;
  readonly name: string;
  readonly work: NodeWork;
}

async function addNode(options: WorldOptions, made: NewNode): Promise<WorldNode> {
  const { hooks, latencyMs, ratios } = options;
  const { clock, calls, hub, random, index, name, work } = made;
  const key = signingKeyFromSeed(random.bytes(KEY_SEED_BYTES));
  const identity = await enrol(hub, { key, name, ownerId: options.ownerId });
  const wire = createWire({
    clock,
    latencyMs,
    ratios,
    random: random.fork("wire"),
    onFault: (kind, stream) => hooks.onFault?.(kind, stream, index),
    tamper: hooks.tamper ?? {},
  });
  const isAnswerLost = (): boolean => hooks.isAnswerLost?.() ?? false;
  const machine = createNodeMachine({
    clock,
    random: random.fork("machine"),
    identity,
    key,
    work,
    dial: (isGone) => () => createMemoryTransport({ door: hub, wire, calls, isGone, isAnswerLost }),
    wrapState: hooks.wrapState,
    onStep: (step) => hooks.onNodeStep?.(index, step),
    onReach: (what) => hooks.onReach?.(index, what),
    log: (line) => hooks.log?.(`${name}: ${line}`),
  });
  return { name, machine, wire };
}

interface Joining {
  readonly key: SigningKey;
  readonly name: string;
  readonly ownerId: string;
}

/** Makes the machine a node of the owner, as an invite does. */
async function enrol(hub: HubMachine, { key, name, ownerId }: Joining): Promise<NodeIdentity> {
  const { core } = hub;
  const { invite } = await core.as(ownerId).createInvite({ name });
  const { inviteId, secret } = decodeInvite(invite);
  const { publicKey } = key;
  const { challenge, hubId } = core.enrolment.begin(create(BeginEnrollmentRequestSchema, { inviteId, publicKey }));
  const signature = signEnrollmentProof(key, { challenge, inviteId, publicKey, hubId });
  const { nodeId } = await core.enrolment.finish(
    create(FinishEnrollmentRequestSchema, { inviteId, secret, publicKey, challenge, signature }),
  );
  const { grantKey } = core.authority;
  const publicKeyText = Buffer.from(grantKey.publicKey).toString("base64");
  return {
    nodeId: nodeId as NodeId,
    hubId: core.authority.hubId,
    ownerId,
    nodeName: name,
    address: "memory:1",
    caPem: "",
    grantKeys: [{ keyId: grantKey.keyId, publicKey: publicKeyText, notAfterMs: 0 }],
    workspaceRoot: "/work",
  };
}
