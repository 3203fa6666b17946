import { describe, expect, it } from "vitest";
import { HeldState, Outcome } from "@cortex-mesh/protocol/gen";
import { taskIdOf } from "../support/scripted-hub.js";
import { startNode } from "../support/start-node.js";
import { settle, waitUntil } from "../support/wait-until.js";

describe("a node that comes back", () => {
  it("T8: after a crash what ran ends as lost with its output, and what waited is named as never started", async () => {
    await using node = await startNode({ maxTasks: 1 });
    node.hub.behaviour.acksLogs = false;
    const first = await node.hub.connection(1);
    first.dispatch({ index: 1 });
    first.dispatch({ index: 2 });
    await first.heard("started", 1);
    await first.heard("accepted", 2);
    await node.probe.runs.get(taskIdOf(1))!.request.write("stdout", Buffer.from("so far"));
    await waitUntil(() => node.hub.output(1).text === "so far", "output on its way");
    node.hub.behaviour.acksLogs = true;
    await node.crash();
    const second = await node.hub.connection(2);
    const hello = await second.heard("hello");
    expect(hello.bootId).toBe("boot-2");
    expect(hello.held.map(({ taskId, state }) => [taskId, state])).toEqual([
      [taskIdOf(1), HeldState.FINISHED],
      [taskIdOf(2), HeldState.NEVER_STARTED],
    ]);
    const response = await second.heard("response", 1);
    expect(response).toMatchObject({ outcome: Outcome.INDETERMINATE, cause: "node_lost", lastLogSeq: 1n });
    expect(node.probe.starts.get(taskIdOf(1))).toBe(1);
    expect(node.probe.starts.has(taskIdOf(2))).toBe(false);
  });

  it("T8: a tombstone is told once and still keeps its attempt from starting; the next attempt starts", async () => {
    await using node = await startNode({ maxTasks: 1 });
    const first = await node.hub.connection(1);
    first.dispatch({ index: 1 });
    first.dispatch({ index: 2 });
    await first.heard("accepted", 2);
    await node.crash();
    const second = await node.hub.connection(2);
    await second.heard("response", 1);
    second.dispatch({ index: 2, attempt: 1 });
    await settle();
    expect(node.probe.starts.has(taskIdOf(2))).toBe(false);
    second.dispatch({ index: 2, attempt: 2 });
    await second.heard("started", 2);
    second.cut();
    await node.clock.advance(1_000);
    const third = await node.hub.connection(3);
    expect((await third.heard("hello")).held.map(({ attempt, state }) => [attempt, state])).toEqual([
      [2, HeldState.RUNNING],
    ]);
  });

  it("T8: an end that is not acknowledged is said again on each connection until it is", async () => {
    await using node = await startNode();
    node.hub.behaviour.acksResponses = false;
    const first = await node.hub.connection(1);
    first.dispatch({ index: 1 });
    await first.heard("started", 1);
    node.probe.runs.get(taskIdOf(1))!.exit(0);
    await first.heard("response", 1);
    first.cut();
    await node.clock.advance(1_000);
    const second = await node.hub.connection(2);
    expect(await second.heard("response", 1)).toMatchObject({ outcome: Outcome.SUCCEEDED });
    node.hub.behaviour.acksResponses = true;
    await node.crash();
    const third = await node.hub.connection(3);
    await third.heard("response", 1);
    await settle();
    third.cut();
    await node.clock.advance(1_000);
    const fourth = await node.hub.connection(4);
    expect((await fourth.heard("hello")).held).toEqual([]);
  });

  it("T8: a task goes on while the hub is away, and its end is delivered afterwards", async () => {
    await using node = await startNode();
    const first = await node.hub.connection(1);
    first.dispatch({ index: 1 });
    await first.heard("started", 1);
    first.cut();
    await settle();
    await node.probe.runs.get(taskIdOf(1))!.request.write("stdout", Buffer.from("meanwhile"));
    node.probe.runs.get(taskIdOf(1))!.exit(0);
    await settle();
    await node.clock.advance(1_000);
    const second = await node.hub.connection(2);
    expect(await second.heard("response", 1)).toMatchObject({ outcome: Outcome.SUCCEEDED, lastLogSeq: 1n });
    await waitUntil(() => node.hub.output(1).text === "meanwhile", "the output");
    expect(node.events).toEqual(["online", "offline", "online"]);
  });

  it("T8: what the hub does not want any more is ended without a word and forgotten", async () => {
    await using node = await startNode();
    const first = await node.hub.connection(1);
    first.dispatch({ index: 1 });
    await first.heard("started", 1);
    node.hub.behaviour.unwanted = [{ taskId: taskIdOf(1), attempt: 1 }];
    first.cut();
    await node.clock.advance(1_000);
    const second = await node.hub.connection(2);
    await waitUntil(() => node.probe.runs.get(taskIdOf(1))!.stops.length > 0, "the stop");
    await settle();
    expect(second.said("response", 1)).toEqual([]);
    expect(await node.state.listOpen()).toEqual([]);
  });
});
