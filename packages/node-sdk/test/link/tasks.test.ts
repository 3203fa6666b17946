import { describe, expect, it } from "vitest";
import { CortexError, MAX_STORED_GRANTS } from "@cortex-mesh/protocol";
import { Outcome } from "@cortex-mesh/protocol/gen";
import { createMemoryState } from "../../src/state/memory-state.js";
import type { NodeState } from "../../src/state/node-state.js";
import { taskIdOf } from "../support/scripted-hub.js";
import { startNode } from "../support/start-node.js";
import { settle, waitUntil } from "../support/wait-until.js";

describe("a task on a node", () => {
  it("E1: a task runs once, is said to have started, and its end is said with its exit code", async () => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1 });
    const started = await hub.heard("started", 1);
    expect(started.isolation?.level).toBe("none");
    expect(started.isolation?.enforced["output"]).toBe(true);
    node.probe.runs.get(taskIdOf(1))!.exit(3);
    const response = await hub.heard("response", 1);
    expect(response).toMatchObject({ outcome: Outcome.FAILED, exitCode: 3, cause: "exit", attempt: 1 });
    await settle();
    expect(hub.said("response", 1)).toHaveLength(1);
    expect(await node.state.listOpen()).toEqual([]);
  });

  it("E5: a grant that comes twice starts nothing twice and is answered with what is known", async () => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    const grant = hub.grant({ index: 1 });
    hub.sendGrant(grant);
    await hub.heard("started", 1);
    hub.sendGrant(grant);
    hub.dispatch({ index: 1 });
    await waitUntil(() => hub.said("started", 1).length === 3, "started said for each");
    expect(node.probe.starts.get(taskIdOf(1))).toBe(1);
    node.hub.behaviour.acksResponses = false;
    node.probe.runs.get(taskIdOf(1))!.exit(0);
    await hub.heard("response", 1);
    hub.sendGrant(grant);
    await waitUntil(() => hub.said("response", 1).length === 2, "the response again");
    expect(node.probe.starts.get(taskIdOf(1))).toBe(1);
  });

  it("E5: two grants of one attempt in one message start it once", async () => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    const grant = hub.grant({ index: 1 });
    for (let copy = 0; copy < 5; copy += 1) hub.sendGrant(grant);
    hub.dispatch({ index: 2 });
    await hub.heard("started", 2);
    await hub.heard("started", 1);
    expect(node.probe.starts.get(taskIdOf(1))).toBe(1);
  });

  it("T7: grants that come in one message are not stored beyond the bound", async () => {
    await using node = await startNode({ maxTasks: 1 });
    const hub = await node.hub.connection(1);
    for (let index = 1; index <= MAX_STORED_GRANTS + 3; index += 1) hub.dispatch({ index });
    await waitUntil(() => hub.said("declined").length === 2, "the ones that are too many");
    expect(hub.said("accepted")).toHaveLength(MAX_STORED_GRANTS);
  });

  it("T8: an end that could not be written is not said", async () => {
    const state = createMemoryState();
    await using node = await startNode({ state });
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1 });
    await hub.heard("started", 1);
    await state.close();
    node.probe.runs.get(taskIdOf(1))!.exit(0);
    await settle();
    expect(hub.said("response", 1)).toEqual([]);
  });

  it("E5: an attempt below the known one is not acted on", async () => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1, attempt: 2 });
    await hub.heard("started", 1);
    hub.dispatch({ index: 1, attempt: 1 });
    await settle();
    expect(node.probe.starts.get(taskIdOf(1))).toBe(1);
    expect(hub.said("started", 1)).toHaveLength(1);
  });

  it("E4: with one slot tasks start in order of arrival, and the ones that wait are accepted", async () => {
    await using node = await startNode({ maxTasks: 1 });
    const hub = await node.hub.connection(1);
    for (const index of [1, 2, 3]) hub.dispatch({ index });
    await hub.heard("accepted", 2);
    await hub.heard("accepted", 3);
    await hub.heard("started", 1);
    expect([...node.probe.starts.keys()]).toEqual([taskIdOf(1)]);
    node.probe.runs.get(taskIdOf(1))!.exit(0);
    await hub.heard("started", 2);
    expect(hub.said("started", 3)).toEqual([]);
    hub.dispatch({ index: 4 });
    await hub.heard("accepted", 4);
    node.probe.runs.get(taskIdOf(2))!.exit(0);
    await hub.heard("started", 3);
    node.probe.runs.get(taskIdOf(3))!.exit(0);
    await hub.heard("started", 4);
  });

  it("E4: a task that waits because its start could not be written is not overtaken, and starts later", async () => {
    const real = createMemoryState();
    let passes = Number.POSITIVE_INFINITY;
    const state: NodeState = {
      ...real,
      commit(change) {
        passes -= 1;
        return passes === -1 ? Promise.reject(new CortexError("STORAGE_FULL", "full")) : real.commit(change);
      },
    };
    await using node = await startNode({ maxTasks: 1, state });
    node.hub.behaviour.acksResponses = false;
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1 });
    hub.dispatch({ index: 2 });
    await hub.heard("started", 1);
    await hub.heard("accepted", 2);
    // The end of the first is written, the start of the second is not.
    passes = 1;
    node.probe.runs.get(taskIdOf(1))!.exit(0);
    await hub.heard("response", 1);
    await waitUntil(() => passes === -1, "the failure");
    await settle();
    hub.dispatch({ index: 3 });
    await hub.heard("accepted", 3);
    await node.clock.advance(1_000);
    await hub.heard("started", 2);
    expect(node.probe.starts.has(taskIdOf(3))).toBe(false);
  });

  it("E1: a task that cannot be set up is rejected with its code and was never started", async () => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1, input: { fail: "COMMAND_NOT_FOUND" } });
    hub.dispatch({ index: 2, skill: "nothing" });
    hub.dispatch({ index: 3, cwd: "../x" });
    hub.dispatch({ index: 4, skill: "shell", input: { command: "true", argv: ["true"] } });
    hub.dispatch({ index: 5, inputBytes: new Uint8Array(256 * 1024 + 1) });
    hub.dispatch({ index: 6, level: "container" });
    hub.dispatch({ index: 7, skill: "echo", input: { text: 1 } });
    hub.dispatch({ index: 8, inputBytes: Buffer.from("{") });
    const codes: string[] = [];
    for (let index = 1; index <= 8; index += 1) {
      const response = await hub.heard("response", index);
      expect(response).toMatchObject({ outcome: Outcome.REJECTED, cause: "setup_failed" });
      codes.push(response.errorCode);
    }
    expect(codes).toEqual([
      "COMMAND_NOT_FOUND",
      "SKILL_NOT_FOUND",
      "PATH_OUTSIDE_WORKSPACE",
      "BAD_REQUEST",
      "TOO_LARGE",
      "SANDBOX_UNAVAILABLE",
      "BAD_REQUEST",
      "BAD_REQUEST",
    ]);
    expect(hub.said("started")).toEqual([]);
  });

  it("E2: a stalled task is said to be stalled, and to have gone on", async () => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1, stallAfterMs: 3_000 });
    await hub.heard("started", 1);
    await node.clock.advance(3_000);
    expect(hub.said("progress", 1).map(({ stalled, seq }) => [stalled, seq])).toEqual([[true, 1n]]);
    await node.probe.runs.get(taskIdOf(1))!.request.write("stdout", Buffer.from("x"));
    await waitUntil(() => hub.said("progress", 1).length === 2, "progress again");
    expect(hub.said("progress", 1)[1]).toMatchObject({ stalled: false, seq: 2n });
  });

  it("E1: echo writes its text and gives it back", async () => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1, skill: "echo", input: { text: "hello" } });
    const response = await hub.heard("response", 1);
    expect(response.outcome).toBe(Outcome.SUCCEEDED);
    expect(JSON.parse(Buffer.from(response.valueJson).toString())).toEqual({ text: "hello" });
    expect(response.lastLogSeq).toBe(1n);
    await waitUntil(() => node.hub.output(1).text === "hello", "the output");
  });
});
