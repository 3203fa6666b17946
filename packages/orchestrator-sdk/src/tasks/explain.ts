/** Says to a person why a task waits, or where it went. Pure: verdicts and records in, sentences out. */
import type { TaskRecord } from "../store/records.js";
import type { Freeze } from "./disconnect-breaker.js";
import type { PlacementNeeds, Verdict } from "./eligibility.js";
import { isFinal } from "./machine.js";
import type { TaskCandidate, TaskExplanation } from "./task-service.js";

/** Nodes and needs that one sentence names; a person reads no more. */
const MAX_NAMED = 5;

/** What is known when somebody asks. */
export interface ExplanationFacts {
  readonly task: TaskRecord;
  readonly needs: PlacementNeeds | undefined;
  /** One for each attached node, also for those that the task does not name. */
  readonly verdicts: readonly Verdict[];
  /** Many nodes are missing: attempts are not given up. */
  readonly freeze: Freeze | undefined;
}

/** Makes the explanation. */
export function explainTask({ task, needs, verdicts, freeze }: ExplanationFacts): TaskExplanation {
  return {
    taskId: task.taskId,
    state: task.state,
    summary: summarise({ task, needs, verdicts, freeze }),
    candidates: verdicts.map((verdict) => toCandidate(verdict, needs)),
    notes: task.notes,
  };
}

function toCandidate(verdict: Verdict, needs: PlacementNeeds | undefined): TaskCandidate {
  const { nodeId, node, isAble, isOnline, isDraining, pause, freeSlots, isEligible } = verdict;
  const reason = sentenceOf(verdict, needs);
  const isPaused = pause !== undefined;
  return { nodeId, name: node.name, isAble, isOnline, isDraining, isPaused, freeSlots, isEligible, reason };
}

function summarise({ task, needs, verdicts, freeze }: ExplanationFacts): string {
  if (isFinal(task.state)) return `ended: ${task.state}${task.error === undefined ? "" : ` (${task.error.message})`}`;
  if (task.state === "queued") return `waits: ${whyItWaits(verdicts, needs)}`;
  const name = verdicts.find(({ nodeId }) => nodeId === task.nodeId)?.node.name ?? task.nodeId ?? "?";
  const where = `attempt ${task.attempt} ${task.state === "leased" ? "was given to" : "runs on"} node ${name}`;
  if (!task.disconnected) return where;
  const since = task.disconnectedAtMs === undefined ? "" : ` since ${toTime(task.disconnectedAtMs)}`;
  return `${where}, which is not connected${since}${freeze === undefined ? "" : `; ${describeFreeze(freeze)}`}`;
}

function describeFreeze({ reason, missingCount, affectedCount, leftMs }: Freeze): string {
  const cause = reason === "restarted" ? "the hub has just started" : "many nodes vanished at once";
  const missing = `${missingCount} of ${affectedCount} nodes are missing`;
  return `${cause}; waiting for them (${missing}) for up to ${toSeconds(leftMs)} before the attempt is given up`;
}

function whyItWaits(verdicts: readonly Verdict[], needs: PlacementNeeds | undefined): string {
  const chosen = verdicts.filter(({ nodeId }) => needs?.nodeId === undefined || needs.nodeId === nodeId);
  if (chosen.length === 0)
    return needs?.nodeId === undefined ? "the session has no node" : `node ${needs.nodeId} is not attached`;
  const able = chosen.filter(({ isAble }) => isAble);
  if (able.some(({ isEligible }) => isEligible)) return "it is about to be given to a node";
  const [only] = chosen;
  if (able.length === 0 && (chosen.length > 1 || needs?.nodeId === undefined) && chosen.some(isLacking))
    return `a node with ${listed(lackedBy(chosen))} is needed`;
  if (able.length === 0 && only !== undefined && chosen.length === 1) return sentenceOf(only, needs);
  return listed(
    (able.length === 0 ? chosen : able).map((verdict) => sentenceOf(verdict, needs)),
    "; ",
  );
}

const isLacking = ({ unmet }: Verdict): boolean => unmet.length > 0;

/** What every node lacks; when each lacks something else, all of that. */
function lackedBy(verdicts: readonly Verdict[]): readonly string[] {
  const lists = verdicts.filter(isLacking).map(({ unmet }) => unmet);
  const all = [...new Set(lists.flat())];
  const common = all.filter((need) => lists.every((unmet) => unmet.includes(need)));
  return common.length > 0 ? common : all;
}

/** What keeps one node from taking the task, the lasting reason before the passing one. */
function sentenceOf(verdict: Verdict, needs: PlacementNeeds | undefined): string {
  const { node, unmet, isOnline, isDraining, freeSlots, pause } = verdict;
  const name = `node ${node.name}`;
  if (node.revokedAtMs !== undefined) return `${name} was revoked`;
  if (needs?.nodeId !== undefined && needs.nodeId !== node.nodeId) return `${name} is not the node that the task names`;
  if (node.capabilities === undefined) return `${name} has not connected yet`;
  if (unmet.length > 0) return `${name} has no ${listed(unmet)}`;
  if (!isOnline)
    return node.lastSeenAtMs === undefined
      ? `${name} is offline`
      : `${name} is offline since ${toTime(node.lastSeenAtMs)}`;
  if (isDraining) return `${name} is draining and takes nothing new`;
  if (freeSlots <= 0)
    return node.maxTasks === 1 ? `the one slot of ${name} is taken` : `all ${node.maxTasks} slots of ${name} are taken`;
  if (pause !== undefined) {
    const times = pause.count === 1 ? "once" : `${pause.count} times in a row`;
    return `${name} did not keep the task ${times} and is asked again in ${toSeconds(pause.leftMs)}`;
  }
  return `${name} can take the task`;
}

function listed(items: readonly string[], separator = ", "): string {
  const named = items.slice(0, MAX_NAMED).join(separator);
  return items.length > MAX_NAMED ? `${named}${separator}and ${items.length - MAX_NAMED} more` : named;
}

function toTime(atMs: number): string {
  return new Date(atMs).toISOString();
}

function toSeconds(ms: number): string {
  return `${Math.ceil(ms / 100) / 10} s`;
}
