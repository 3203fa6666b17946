import { describe, expect, it } from "vitest";
import { CortexError } from "@cortex-mesh/protocol";
import { Outcome } from "@cortex-mesh/protocol/gen";
import { createMemoryState } from "../../src/state/memory-state.js";
import type { NodeState } from "../../src/state/node-state.js";
import { taskIdOf } from "../support/scripted-hub.js";
import { startNode } from "../support/start-node.js";
import { settle, waitUntil } from "../support/wait-until.js";

describe("a drain", () => {
  it("T7: nothing new is taken, what waits is given back, what runs may finish, and the goodbye comes last", async () => {
    await using node = await startNode({ maxTasks: 1 });
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1 });
    hub.dispatch({ index: 2 });
    await hub.heard("started", 1);
    await hub.heard("accepted", 2);
    const drained = node.core.drain({ graceMs: 10_000 });
    expect(await hub.heard("draining")).toMatchObject({ graceMs: 10_000 });
    expect(await hub.heard("declined", 2)).toMatchObject({ final: false });
    hub.dispatch({ index: 3 });
    expect(await hub.heard("declined", 3)).toMatchObject({ final: false, errorCode: "UNAVAILABLE" });
    node.probe.runs.get(taskIdOf(1))!.exit(0);
    expect(await hub.heard("response", 1)).toMatchObject({ outcome: Outcome.SUCCEEDED });
    await settle();
    await node.clock.advance(100);
    await drained;
    expect(hub.frames.at(-1)?.body.case).toBe("goodbye");
    expect(await node.core.ended).toBeUndefined();
    expect(node.probe.starts.size).toBe(1);
  });

  it("T7: what still runs after the grace is ended and told as cancelled", async () => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1 });
    await hub.heard("started", 1);
    const drained = node.core.drain({ graceMs: 3_000 });
    await hub.heard("draining");
    await node.clock.advance(2_999);
    expect(node.probe.runs.get(taskIdOf(1))!.stops).toEqual([]);
    await node.clock.advance(1);
    expect(await hub.heard("response", 1)).toMatchObject({ outcome: Outcome.CANCELLED, cause: "killed" });
    await settle();
    await node.clock.advance(100);
    await drained;
  });

  it("T7: a drain that the hub asks for is told to the program", async () => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    hub.send({ case: "drain", value: { graceMs: 1_234 } } as never);
    await waitUntil(() => node.events.includes("drainRequested 1234"), "the request");
  });

  it("T7: a node that is closed starts nothing that waits for a slot", async () => {
    const node = await startNode({ maxTasks: 1 });
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1 });
    hub.dispatch({ index: 2 });
    await hub.heard("accepted", 2);
    await hub.heard("started", 1);
    await node[Symbol.asyncDispose]();
    expect([...node.probe.starts.keys()]).toEqual([taskIdOf(1)]);
  });

  it("T7: a drain ends what runs also when its state cannot be written", async () => {
    const state = createMemoryState();
    let isFull = false;
    const full: NodeState["commit"] = (change) =>
      isFull ? Promise.reject(new CortexError("STORAGE_FULL", "no room")) : state.commit(change);
    await using node = await startNode({ state: { ...state, commit: full } });
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1 });
    await hub.heard("started", 1);
    isFull = true;
    const drained = node.core.drain({ graceMs: 0 });
    await settle();
    await node.clock.advance(1);
    await waitUntil(() => node.probe.runs.get(taskIdOf(1))!.stops.length > 0, "the stop");
    isFull = false;
    await node.clock.advance(1_000);
    await hub.heard("response", 1);
    await settle();
    await node.clock.advance(100);
    await drained;
    expect(node.refused.map(({ code }) => code)).toEqual(["STORAGE_FULL"]);
  });

  it("T7: closing, draining and starting in any order end alike", async () => {
    await using node = await startNode();
    await node.hub.connection(1);
    await Promise.all([node.core.close(), node.core.close(), node.core.drain(), node.core.start()]);
    expect(await node.core.ended).toBeUndefined();
    await node.core.start();
    await settle();
    expect(node.hub.connections).toHaveLength(1);
  });
});
