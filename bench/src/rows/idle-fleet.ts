/** What many idle nodes cost a hub, in memory and in computing; two rows read it from one measurement. */
import { join } from "node:path";
import { descriptorObstacle, type FleetKind, openFleet } from "../fleet.js";
import type { RunOptions } from "../row.js";

/** Connections of a node that has data to send. */
const CONNECTIONS_A_NODE = 2;

/** How much is measured. */
export interface IdleFleetSize {
  /** Nodes that are counted. */
  readonly nodes: number;
  /** Nodes before them, with which everything is compiled and every pool has its size. */
  readonly warmUpNodes: number;
  readonly rounds: number;
  /** Time over which computing is measured, in milliseconds: several heartbeats of each node. */
  readonly windowMs: number;
}

/** What one round on one side gave. */
export interface IdleSample {
  /** Resident bytes a node, with both of its connections. */
  readonly bytesANode: number;
  /** Of them those of the second one, which a node has from its first output on. */
  readonly dataBytesANode: number;
  /** On the heap of JavaScript, of both. */
  readonly heapBytesANode: number;
  /** Share of one core, of all nodes together. */
  readonly cpuRatio: number;
}

/** Both sides, a sample a round. */
export interface IdleFleetResult {
  readonly size: IdleFleetSize;
  readonly floor: readonly IdleSample[];
  readonly subject: readonly IdleSample[];
}

/** What a run measures. */
export function idleFleetSize({ isQuick }: RunOptions): IdleFleetSize {
  if (isQuick) return { nodes: 200, warmUpNodes: 100, rounds: 1, windowMs: 6_000 };
  return { nodes: 2_000, warmUpNodes: 200, rounds: 3, windowMs: 20_000 };
}

/** Why it cannot be measured here. */
export function idleFleetObstacle(options: RunOptions): string | undefined {
  const { nodes, warmUpNodes } = idleFleetSize(options);
  return descriptorObstacle((nodes + warmUpNodes) * CONNECTIONS_A_NODE);
}

let measured: Promise<IdleFleetResult> | undefined;

/** Measures once a run. */
export function measureIdleFleet(options: RunOptions): Promise<IdleFleetResult> {
  measured ??= measure(options);
  return measured;
}

async function measure(options: RunOptions): Promise<IdleFleetResult> {
  const size = idleFleetSize(options);
  const samples: { readonly floor: IdleSample[]; readonly subject: IdleSample[] } = { floor: [], subject: [] };
  for (let round = 0; round < size.rounds; round += 1) {
    const directory = (kind: FleetKind): string => join(options.diskDirectory, `idle-${kind}-${round}`);
    samples.floor.push(await sample("bare", directory("bare"), size));
    samples.subject.push(await sample("cortex", directory("cortex"), size));
  }
  return { size, ...samples };
}

async function sample(kind: FleetKind, directory: string, size: IdleFleetSize): Promise<IdleSample> {
  await using fleet = await openFleet(kind, directory);
  await fleet.openData(await fleet.connect(size.warmUpNodes));
  const before = await fleet.figures();
  const range = await fleet.connect(size.nodes);
  const withControl = await fleet.figures();
  await fleet.openData(range);
  const withData = await fleet.figures();
  const first = await fleet.state();
  const cpuRatio = await fleet.cpuRatio(size.windowMs);
  const last = await fleet.state();
  const all = size.nodes + size.warmUpNodes;
  if (last.lost > 0 || last.open < all)
    throw new Error(`${last.open} of ${all} connections are open, ${last.lost} were lost`);
  if (last.answers - first.answers < all) throw new Error("some heartbeats had no answer");
  return {
    bytesANode: (withData.rssBytes - before.rssBytes) / size.nodes,
    dataBytesANode: (withData.rssBytes - withControl.rssBytes) / size.nodes,
    heapBytesANode: (withData.heapBytes - before.heapBytes) / size.nodes,
    cpuRatio,
  };
}
