import { describe, expect, it } from "vitest";
import type { NodeId, TaskId } from "@cortex-mesh/protocol";
import { type Candidate, choose, judge } from "../../src/tasks/eligibility.js";
import { NODE_ID, nodeRecord, requestRecord } from "../support/task-record.js";

const candidate = (changes: Partial<Candidate> = {}): Candidate => ({
  node: nodeRecord(),
  isOnline: true,
  isDraining: false,
  freeSlots: 1,
  ...changes,
});

describe("judging a node for a task", () => {
  it.each([
    [
      "another node is named",
      requestRecord({ nodeId: "node_01J00000000000000000000002" as NodeId }),
      candidate(),
      false,
    ],
    ["the skill is missing", requestRecord({ skill: "nope" }), candidate(), false],
    ["it was revoked", requestRecord(), candidate({ node: nodeRecord({ revokedAtMs: 1 }) }), false],
    ["another os is needed", requestRecord({ requires: { os: "darwin" } }), candidate(), false],
    ["a tool is missing", requestRecord({ requires: { tools: ["git", "docker"] } }), candidate(), false],
    ["a label differs", requestRecord({ requires: { labels: { zone: "eu" } } }), candidate(), false],
    ["it has less memory", requestRecord({ requires: { minMemoryBytes: 1001 } }), candidate(), false],
    ["it has less disk", requestRecord({ requires: { minDiskBytes: 501 } }), candidate(), false],
    ["it has no GPU", requestRecord({ requires: { gpu: true } }), candidate(), false],
    ["the isolation is not proven", requestRecord({ requires: { sandbox: "vm" } }), candidate(), false],
    ["a need is not known", requestRecord({ requires: { colour: "red" } }), candidate(), false],
    ["it is offline", requestRecord(), candidate({ isOnline: false }), true],
    ["it drains", requestRecord(), candidate({ isDraining: true }), true],
    ["it is full", requestRecord(), candidate({ freeSlots: 0 }), true],
  ])("E6: it cannot take the task now when %s", (...[, request, node, isEligible]) => {
    const verdict = judge(request, node);
    expect(verdict).toMatchObject({ isFree: false, isEligible });
    expect(verdict.reason).not.toBe("");
  });

  it("E6: it takes the task when it meets all needs", () => {
    const requires = {
      os: "linux",
      arch: "x64",
      tools: ["git"],
      minMemoryBytes: 1000,
      minDiskBytes: 500,
      labels: { zone: "eu" },
    };
    const verdict = judge(
      requestRecord({ requires, nodeId: NODE_ID }),
      candidate({ node: nodeRecord({ labels: { zone: "eu" } }) }),
    );
    expect(verdict).toMatchObject({ isFree: true, isEligible: true });
  });
});

describe("choosing among nodes", () => {
  const nodes = Array.from({ length: 10 }, (_, index) => `node_01J0000000000000000000000${index}` as NodeId);
  const verdicts = (ids: readonly NodeId[]) =>
    ids.map((nodeId) => ({ nodeId, isEligible: true, isFree: true, reason: "" }));
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
