import { describe, expect, it } from "vitest";
import type { NodeId, TaskId } from "@cortex-mesh/protocol";
import type { NodeRecord, TaskRequestRecord } from "../../src/store/records.js";
import {
  type Candidate,
  choose,
  isLevelUnavailable,
  judge,
  type PlacementNeeds,
  toNeeds,
} from "../../src/tasks/eligibility.js";
import { NODE_ID, nodeRecord, requestRecord } from "../support/task-record.js";

const candidate = (changes: Partial<Candidate> = {}): Candidate => ({
  node: nodeRecord(),
  isOnline: true,
  isDraining: false,
  freeSlots: 1,
  pause: undefined,
  ...changes,
});
const needs = (changes: Partial<TaskRequestRecord> = {}): PlacementNeeds => toNeeds(requestRecord(changes));
const withLevels = (...sandboxLevels: string[]): NodeRecord =>
  nodeRecord({ capabilities: { ...nodeRecord().capabilities, sandboxLevels } });

describe("judging a node for a task", () => {
  const unable: readonly (readonly [string, PlacementNeeds, Candidate, readonly string[]])[] = [
    ["another node is named", needs({ nodeId: "node_01J00000000000000000000002" as NodeId }), candidate(), []],
    ["it was revoked", needs(), candidate({ node: nodeRecord({ revokedAtMs: 1 }) }), []],
    ["it never registered", needs(), candidate({ node: nodeRecord({ capabilities: undefined }) }), []],
    ["the skill is missing", needs({ skill: "nope" }), candidate(), ["skill nope"]],
    ["another os is needed", needs({ requires: { os: "darwin" } }), candidate(), ["os darwin"]],
    [
      "tools are missing",
      needs({ requires: { tools: ["git", "docker", "uv"] } }),
      candidate(),
      ["tool docker", "tool uv"],
    ],
    ["a label differs", needs({ requires: { labels: { zone: "eu" } } }), candidate(), ["label zone=eu"]],
    ["it has less memory", needs({ requires: { minMemoryBytes: 1001 } }), candidate(), ["1001 bytes of memory"]],
    ["it has less disk", needs({ requires: { minDiskBytes: 501 } }), candidate(), ["501 bytes of free disk space"]],
    ["it has no GPU", needs({ requires: { gpu: true } }), candidate(), ["a GPU"]],
    ["the isolation is not proven", needs({ requires: { sandbox: "vm" } }), candidate(), ["isolation level vm"]],
    ["the task asks for more isolation", needs({ sandbox: { level: "vm" } }), candidate(), ["isolation level vm"]],
    ["a need is not known", needs({ requires: { colour: "red" } }), candidate(), ["the unknown need colour"]],
  ];
  it.each(unable)("E6: it is not able to when %s", (...[, asked, node, unmet]) => {
    expect(judge(asked, node)).toMatchObject({ isAble: false, isEligible: false, unmet });
  });

  it.each([
    ["is offline", { isOnline: false }],
    ["drains", { isDraining: true }],
    ["is full", { freeSlots: 0 }],
    ["declined it a moment ago", { pause: { count: 1, leftMs: 200 } }],
  ])("H5: it is able to, but cannot take it now, when it %s", (_what, changes) => {
    expect(judge(needs(), candidate(changes))).toMatchObject({ isAble: true, isEligible: false, unmet: [] });
  });

  it("E6: it takes the task when it meets all needs", () => {
    const requires = {
      os: "linux",
      arch: "x64",
      tools: ["git"],
      minMemoryBytes: 1000,
      minDiskBytes: 500,
      labels: { zone: "eu" },
      sandbox: "none",
    };
    const node = nodeRecord({ labels: { zone: "eu" } });
    const asked = needs({ requires, nodeId: NODE_ID, sandbox: { level: "none" } });
    expect(judge(asked, candidate({ node }))).toMatchObject({ isAble: true, isEligible: true });
  });
});

describe("an isolation level that is asked for", () => {
  const other = "node_01J00000000000000000000002" as NodeId;
  const container = { sandbox: { level: "container" } };
  it.each<readonly [string, Partial<TaskRequestRecord>, readonly NodeRecord[], boolean]>([
    ["no node provides it", container, [withLevels("none"), withLevels("none", "workspace")], true],
    ["one node provides it", container, [withLevels("none"), withLevels("none", "container")], false],
    ["none is asked for", {}, [withLevels()], false],
    ["only what needs no proof is asked for", { sandbox: { level: "none" } }, [withLevels()], false],
    ["a node has yet to register", container, [withLevels(), nodeRecord({ capabilities: undefined })], false],
    ["no node meets the other needs either", { ...container, requires: { os: "darwin" } }, [withLevels()], false],
    [
      "the one that provides it was revoked",
      container,
      [withLevels(), { ...withLevels("container"), revokedAtMs: 1 }],
      true,
    ],
    [
      "the one that provides it is not the one that is named",
      { ...container, nodeId: NODE_ID },
      [withLevels(), { ...withLevels("container"), nodeId: other }],
      true,
    ],
    ["the session has no node", container, [], false],
  ])("X1: %s", (...[, changes, nodes, isUnavailable]) => {
    expect(isLevelUnavailable(needs(changes), nodes)).toBe(isUnavailable);
  });
});

describe("choosing among nodes", () => {
  const nodes = Array.from({ length: 10 }, (_, index) => `node_01J0000000000000000000000${index}` as NodeId);
  const verdicts = (ids: readonly NodeId[]) => ids.map((nodeId) => ({ nodeId, isEligible: true }));
  const tasks = Array.from({ length: 2000 }, (_, index) => `task_${index}` as TaskId);

  it("H5: the choice is the same in any order, and even", () => {
    const counts = new Map<NodeId, number>();
    for (const task of tasks) {
      const chosen = choose(task, verdicts(nodes));
      expect(choose(task, verdicts([...nodes].reverse()))).toBe(chosen);
      counts.set(chosen as NodeId, (counts.get(chosen as NodeId) ?? 0) + 1);
    }
    // 200 each on average; three standard deviations of a fair draw are 40.
    for (const nodeId of nodes) expect(counts.get(nodeId)).toBeGreaterThan(140);
  });

  it("H5: a node that leaves moves only its own tasks", () => {
    const [gone, ...rest] = nodes;
    for (const task of tasks) {
      const before = choose(task, verdicts(nodes));
      if (before !== gone) expect(choose(task, verdicts(rest))).toBe(before);
    }
  });
});
