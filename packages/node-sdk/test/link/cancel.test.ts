import { describe, expect, it } from "vitest";
import { Outcome } from "@cortex-mesh/protocol/gen";
import { taskIdOf } from "../support/scripted-hub.js";
import { startNode } from "../support/start-node.js";
import { settle, waitUntil } from "../support/wait-until.js";

describe("a cancel", () => {
  it("E3: a running task is stopped with a grace and ends as cancelled, however often it is cancelled", async () => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1 });
    await hub.heard("started", 1);
    hub.cancel(1);
    hub.cancel(1);
    const response = await hub.heard("response", 1);
    expect(response).toMatchObject({ outcome: Outcome.CANCELLED, cause: "killed", signal: "SIGTERM" });
    hub.cancel(1);
    await settle();
    expect(node.probe.runs.get(taskIdOf(1))!.stops[0]).toBe(5_000);
    expect(hub.said("response", 1)).toHaveLength(1);
  });

  it("E3: a task that waits for a slot ends as cancelled and never starts", async () => {
    await using node = await startNode({ maxTasks: 1 });
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1 });
    hub.dispatch({ index: 2 });
    await hub.heard("accepted", 2);
    await hub.heard("started", 1);
    hub.cancel(2);
    expect(await hub.heard("response", 2)).toMatchObject({ outcome: Outcome.CANCELLED });
    node.probe.runs.get(taskIdOf(1))!.exit(0);
    await hub.heard("response", 1);
    await settle();
    expect(node.probe.starts.has(taskIdOf(2))).toBe(false);
  });

  it("E3: a cancel that comes before its task keeps it from starting", async () => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    hub.cancel(1);
    hub.dispatch({ index: 1 });
    expect(await hub.heard("response", 1)).toMatchObject({ outcome: Outcome.CANCELLED });
    expect(node.probe.starts.has(taskIdOf(1))).toBe(false);
  });

  it("E3: a cancel after the end changes nothing; the end is said again while it is not acknowledged", async () => {
    await using node = await startNode();
    node.hub.behaviour.acksResponses = false;
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1 });
    await hub.heard("started", 1);
    node.probe.runs.get(taskIdOf(1))!.exit(0);
    await hub.heard("response", 1);
    hub.cancel(1);
    await waitUntil(() => hub.said("response", 1).length === 2, "the response again");
    expect(hub.said("response", 1).map(({ outcome }) => outcome)).toEqual([Outcome.SUCCEEDED, Outcome.SUCCEEDED]);
  });

  it("E3: a time-out counts from the start and ends the task as timed out", async () => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1, timeoutMs: 2_000 });
    await hub.heard("started", 1);
    await node.clock.advance(1_999);
    expect(node.probe.runs.get(taskIdOf(1))!.stops).toEqual([]);
    await node.clock.advance(1);
    expect(await hub.heard("response", 1)).toMatchObject({ outcome: Outcome.TIMED_OUT, cause: "timeout" });
  });
});
