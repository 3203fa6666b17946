import { describe, expect, it } from "vitest";
import { startNode } from "../support/start-node.js";

describe("a connection", () => {
  it("T1: the node proves its key, says hello first and is online after the welcome", async () => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    expect((await hub.heard("hello")).bootId).toBe("boot-1");
    await node.clock.advance(0);
    expect(node.events).toEqual(["online"]);
    expect(hub.heartbeats).toBe(1);
    await node.clock.advance(10_000);
    expect(hub.heartbeats).toBe(3);
  });
});
