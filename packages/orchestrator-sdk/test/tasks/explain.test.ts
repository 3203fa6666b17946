import { beforeEach, describe, expect, it } from "vitest";
import type { NodeId, SessionId, TaskId } from "@cortex-mesh/protocol";
import type { TaskRequestRecord } from "../../src/store/records.js";
import { type Candidate, judge, toNeeds } from "../../src/tasks/eligibility.js";
import { explainTask } from "../../src/tasks/explain.js";
import { alice, type Mesh, openMesh } from "../support/open-mesh.js";
import { attemptRecord, nodeRecord, requestRecord, taskRecord } from "../support/task-record.js";
import { turns, until } from "../support/until.js";

const A = "node_01J0000000000000000000000A" as NodeId;
const B = "node_01J0000000000000000000000B" as NodeId;
const candidate = (changes: Partial<Candidate> = {}): Candidate => ({
  node: nodeRecord({ nodeId: A, name: "a" }),
  isOnline: true,
  isDraining: false,
  freeSlots: 1,
  pause: undefined,
  ...changes,
});
const nodeB = nodeRecord({ nodeId: B, name: "b", maxTasks: 64 });
const explain = (changes: Partial<TaskRequestRecord>, candidates: readonly Candidate[], task = taskRecord()) => {
  const needs = toNeeds(requestRecord(changes));
  return explainTask({ task, needs, verdicts: candidates.map((item) => judge(needs, item)), freeze: undefined });
};

describe("why a task waits", () => {
  const offline = candidate({
    node: nodeRecord({ nodeId: A, name: "a", lastSeenAtMs: 0 }),
    isOnline: false,
    freeSlots: 0,
  });
  const rows: readonly (readonly [string, Partial<TaskRequestRecord>, readonly Candidate[]])[] = [
    ["the session has no node", {}, []],
    [`node ${B} is not attached`, { nodeId: B }, [candidate()]],
    ["node a is offline since 1970-01-01T00:00:00.000Z", {}, [offline]],
    ["all 64 slots of node b are taken", {}, [candidate({ node: nodeB, freeSlots: 0 })]],
    ["the one slot of node a is taken", {}, [candidate({ node: nodeRecord({ maxTasks: 1 }), freeSlots: 0 })]],
    ["node a is draining and takes nothing new", {}, [candidate({ isDraining: true })]],
    [
      "node a did not keep the task 3 times in a row and is asked again in 0.8 s",
      {},
      [candidate({ pause: { count: 3, leftMs: 800 } })],
    ],
    [
      "a node with tool docker is needed",
      { requires: { tools: ["docker"] } },
      [candidate(), candidate({ node: nodeB })],
    ],
    [
      "a node with tool docker, label zone=eu is needed",
      { requires: { tools: ["docker"], labels: { zone: "eu" } } },
      [candidate()],
    ],
    [
      "node a has no tool docker",
      { nodeId: A, requires: { tools: ["docker"] } },
      [candidate(), candidate({ node: nodeB })],
    ],
    ["node a has not connected yet", {}, [candidate({ node: nodeRecord({ capabilities: undefined }) })]],
    [
      "node a is offline since 1970-01-01T00:00:00.000Z; all 64 slots of node b are taken",
      {},
      [offline, candidate({ node: nodeB, freeSlots: 0 })],
    ],
    [
      "all 64 slots of node b are taken",
      { requires: { labels: { zone: "eu" } } },
      [candidate(), candidate({ node: { ...nodeB, labels: { zone: "eu" } }, freeSlots: 0 })],
    ],
  ];
  it.each(rows)("H5: waits: %s", (sentence, changes, candidates) => {
    expect(explain(changes, candidates).summary).toBe(`waits: ${sentence}`);
  });

  it("H5: when each node lacks something else, all of it is named", () => {
    const docker = nodeRecord({
      nodeId: B,
      name: "b",
      capabilities: { ...nodeB.capabilities, tools: { docker: "27" } },
    });
    const labelled = nodeRecord({ nodeId: A, name: "a", labels: { zone: "eu" } });
    const asked = { requires: { tools: ["docker"], labels: { zone: "eu" } } };
    const found = explain(asked, [candidate({ node: docker }), candidate({ node: labelled })]);
    expect(found.summary).toBe("waits: a node with label zone=eu, tool docker is needed");
    expect(found.candidates).toMatchObject([
      { nodeId: B, name: "b", isAble: false, isOnline: true, reason: "node b has no label zone=eu" },
      { nodeId: A, name: "a", isAble: false, isOnline: true, reason: "node a has no tool docker" },
    ]);
  });

  it("H5: every attached node is shown, also those that the task does not name", () => {
    const { candidates } = explain({ nodeId: A }, [candidate(), candidate({ node: nodeB })]);
    expect(candidates).toMatchObject([
      { nodeId: A, isAble: true, isEligible: true, freeSlots: 1, reason: "node a can take the task" },
      { nodeId: B, isAble: false, isEligible: false, reason: "node b is not the node that the task names" },
    ]);
  });
});

describe("where a task went", () => {
  it("H5: names its node, and since when that is away", () => {
    const nodes = [candidate({ node: nodeRecord() })];
    expect(explain({}, nodes, attemptRecord("running")).summary).toBe("attempt 1 runs on node a");
    const away = attemptRecord("leased", { disconnected: true, disconnectedAtMs: 0 });
    expect(explain({}, nodes, away).summary).toBe(
      "attempt 1 was given to node a, which is not connected since 1970-01-01T00:00:00.000Z",
    );
    const rejected = taskRecord({ state: "rejected", error: { code: "X", message: "no" } });
    expect(explain({}, nodes, rejected).summary).toBe("ended: rejected (no)");
  });
});

describe("what a dispatch needs, and no attached node has", () => {
  let mesh: Mesh;
  let nodeId: NodeId;
  let sessionId: SessionId;
  beforeEach(async () => {
    mesh = await openMesh();
    nodeId = await mesh.addNode();
    sessionId = await mesh.addSession([nodeId]);
  });
  const summary = async (taskId: TaskId) => (await mesh.services.tasks.explain(alice, taskId)).summary;
  const level = (name: string) => ({ sandbox: { level: name } });
  const capabilities = (...sandboxLevels: string[]) => ({
    request: { capabilities: { os: "linux", arch: "x64", skills: [{ name: "shell" }], sandboxLevels } },
  });

  it("E6: under `requires` it is waited for, and a node that comes with it gets the task", async () => {
    await mesh.connect(nodeId, capabilities("none"));
    const taskId = await mesh.submit(sessionId, { requires: { sandbox: "container" } });
    await turns();
    expect(await summary(taskId)).toBe("waits: a node with isolation level container is needed");
    const other = await mesh.addNode();
    await mesh.services.sessions.attach(alice, sessionId, { nodeId: other });
    const second = await mesh.connect(other, capabilities("none", "container"));
    await until(() => second.grants().length === 1);
  });

  it("X1: an isolation that the task itself asks for is never waited for, and never replaced by less", async () => {
    const node = await mesh.connect(nodeId, capabilities("none"));
    const taskId = await mesh.submit(sessionId, level("container"));
    const task = await mesh.reaches(taskId, "rejected");
    expect(task).toMatchObject({ attempt: 0, cause: "setup_failed", error: { code: "SANDBOX_UNAVAILABLE" } });
    expect(task.error?.message).toBe(
      'no attached node provides the isolation level "container" (node a: none); nothing was started',
    );
    expect(node.grants()).toEqual([]);
  });

  it("X1: it is rejected as well while the nodes are away or busy, by what they registered", async () => {
    expect(await mesh.submit(sessionId, level("vm")).then((id) => mesh.reaches(id, "rejected"))).toMatchObject({
      error: { code: "SANDBOX_UNAVAILABLE" },
    });
  });

  it("X1: the nodes that provide it are chosen, and waited for while they are away", async () => {
    await mesh.connect(nodeId, capabilities("none"));
    const strong = await mesh.addNode({
      name: "strong",
      capabilities: { skills: [{ name: "shell" }], sandboxLevels: ["none", "container"] },
    });
    await mesh.services.sessions.attach(alice, sessionId, { nodeId: strong });
    const taskId = await mesh.submit(sessionId, level("container"));
    await turns();
    expect(await summary(taskId)).toBe("waits: node strong is offline");
    const node = await mesh.connect(strong, capabilities("none", "container"));
    await until(() => node.grants().length === 1);
    const named = await mesh.submit(sessionId, { ...level("container"), nodeId });
    expect(await mesh.reaches(named, "rejected")).toMatchObject({ error: { code: "SANDBOX_UNAVAILABLE" } });
  });

  it("X1: a node that has yet to register may provide it", async () => {
    const fresh = await mesh.addNode({ name: "fresh", capabilities: undefined });
    const waiting = await mesh.addSession([fresh]);
    const taskId = await mesh.submit(waiting, level("container"));
    await turns();
    expect(await summary(taskId)).toBe("waits: node fresh has not connected yet");
    await mesh.connect(fresh, capabilities("none"));
    expect(await mesh.reaches(taskId, "rejected")).toMatchObject({ error: { code: "SANDBOX_UNAVAILABLE" } });
  });
});
