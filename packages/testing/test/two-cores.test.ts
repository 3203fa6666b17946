/** The cores of a hub and a node, as in production, over links in memory: frames get lost and repeated, time is moved by hand. */
import { fromBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { echoSkill } from "@cortex-mesh/node-sdk";
import { HubTaskFrameSchema, NodeTaskFrameSchema } from "@cortex-mesh/protocol/gen";
import type { FrameChange, FrameTamper } from "../src/mesh/wire.js";
import { createTestMesh, type TestMesh } from "../src/test-mesh.js";

/** A skill that counts its runs. */
function createRunCounter() {
  let runs = 0;
  const skill = echoSkill.implement(async ({ input, output }) => {
    runs += 1;
    await output.stdout("ran\n");
    return input;
  });
  return { skill, runs: () => runs };
}

async function openMesh(tamper: FrameTamper) {
  const counter = createRunCounter();
  const mesh = await createTestMesh({ nodes: 1, skills: [counter.skill], tamper });
  const dials = (): number => mesh.log.filter((line) => line === "node-0: online").length;
  return { mesh, dials, runs: counter.runs };
}

async function dispatch(mesh: TestMesh): Promise<string> {
  const alice = mesh.hub.as("alice");
  const { sessionId } = await alice.createSession({ nodes: [{ nodeId: mesh.node(0).nodeId, path: "work" }] });
  const { taskId } = await alice.dispatch({ sessionId, skill: "echo", input: { text: "" } });
  return taskId;
}

async function assertRanOnce(mesh: TestMesh, taskId: string, runs: () => number): Promise<void> {
  const alice = mesh.hub.as("alice");
  await mesh.until("the end of the task", async () => (await alice.getTask({ taskId })).finishedAt !== null);
  const task = await alice.getTask({ taskId });
  expect(task).toMatchObject({ state: "succeeded", output: { stdoutBytes: 4, complete: true } });
  expect(runs()).toBe(1);
  const seqs: string[] = [];
  for await (const { id } of alice.followTask({ taskId })) seqs.push(id);
  expect(seqs).toEqual(seqs.map((_, index) => String(index + 1)));
}

type Fate = "drop" | "duplicate";

/** Meets each frame of one kind on the control stream with a fate, the first time it comes. */
function once(kindOf: (frame: Uint8Array) => string | undefined, kind: string, fate: Fate) {
  let isMet = false;
  const meet: FrameChange = (frame) => {
    if (isMet || kindOf(frame) !== kind) return [frame];
    isMet = true;
    return fate === "drop" ? [] : [frame, frame];
  };
  return (stream: string): FrameChange => (stream === "tasks" ? meet : (frame) => [frame]);
}
const down = (kind: string, fate: Fate): FrameTamper => ({
  down: once((frame) => fromBinary(HubTaskFrameSchema, frame).body.case, kind, fate),
});
const up = (kind: string, fate: Fate): FrameTamper => ({
  up: once((frame) => fromBinary(NodeTaskFrameSchema, frame).body.case, kind, fate),
});

describe("two cores over links in memory", () => {
  it("E2: without a fault a task runs, its output is whole and its events are numbered without a gap", async () => {
    const { mesh, dials, runs } = await openMesh({});
    await using _closing = mesh;
    await assertRanOnce(mesh, await dispatch(mesh), runs);
    expect(dials()).toBe(1);
  });

  it.each([
    ["the grant is lost on its way down", down("grant", "drop")],
    ["the start report is lost on its way up", up("started", "drop")],
    ["the result is lost on its way up", up("response", "drop")],
  ])("T8: when %s, the connection is made anew and the task runs once to its end", async (_title, tamper) => {
    const { mesh, dials, runs } = await openMesh(tamper);
    await using _closing = mesh;
    await assertRanOnce(mesh, await dispatch(mesh), runs);
    expect(dials()).toBe(2);
  });

  it("T8: when the acknowledgement of a result is lost, the result is sent again and changes nothing", async () => {
    const { mesh, dials, runs } = await openMesh(down("responseAck", "drop"));
    await using _closing = mesh;
    const taskId = await dispatch(mesh);
    await assertRanOnce(mesh, taskId, runs);
    await mesh.until("the next connection", () => dials() > 1);
    await mesh.run(1_000);
    await assertRanOnce(mesh, taskId, runs);
  });

  it.each([
    ["the grant", down("grant", "duplicate")],
    ["the start report", up("started", "duplicate")],
    ["the result", up("response", "duplicate")],
  ])("E5: when %s comes twice, the task runs once to its end over the same connection", async (_title, tamper) => {
    const { mesh, dials, runs } = await openMesh(tamper);
    await using _closing = mesh;
    await assertRanOnce(mesh, await dispatch(mesh), runs);
    expect(dials()).toBe(1);
  });
});
