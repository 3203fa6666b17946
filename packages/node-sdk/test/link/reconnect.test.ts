import { describe, expect, it } from "vitest";
import { CortexError } from "@cortex-mesh/protocol";
import { MAX_SHORT_LINKS } from "../../src/link/backoff.js";
import { taskIdOf } from "../support/scripted-hub.js";
import { startNode } from "../support/start-node.js";
import { settle, waitUntil } from "../support/wait-until.js";

describe("a link that fails", () => {
  it("T8: a frame of the hub that is lost is noticed by the next one, and the connection is made anew", async () => {
    await using node = await startNode();
    node.hub.behaviour.taskFaults = { backward: (_frame, index) => (index === 1 ? "drop" : "deliver") };
    (await node.hub.connection(1)).cut();
    await node.clock.advance(1_000);
    const second = await node.hub.connection(2);
    node.hub.behaviour.taskFaults = {};
    second.dispatch({ index: 1 });
    second.dispatch({ index: 2 });
    await waitUntil(() => second.isOver, "the end of the connection");
    await node.clock.advance(2_000);
    const third = await node.hub.connection(3);
    expect((await third.heard("hello")).held).toEqual([]);
    expect(node.probe.starts.size).toBe(0);
    third.dispatch({ index: 1 });
    await third.heard("started", 1);
  });

  it("T8: a lost last frame is noticed after two heartbeats between which nothing arrived", async () => {
    await using node = await startNode();
    const first = await node.hub.connection(1);
    await node.clock.advance(5_000);
    node.hub.behaviour.phantomFrames = 1;
    await node.clock.advance(5_000);
    expect(first.isOver).toBe(false);
    await node.clock.advance(5_000);
    expect(first.isOver).toBe(true);
    node.hub.behaviour.phantomFrames = 0;
    await node.clock.advance(2_000);
    await node.hub.connection(2);
  });

  it("E5: a frame that comes twice is taken once", async () => {
    await using node = await startNode();
    node.hub.behaviour.taskFaults = { backward: () => "duplicate" };
    (await node.hub.connection(1)).cut();
    await node.clock.advance(1_000);
    const second = await node.hub.connection(2);
    second.dispatch({ index: 1 });
    await second.heard("started", 1);
    await settle();
    expect(second.said("started", 1)).toHaveLength(1);
    expect(node.probe.starts.get(taskIdOf(1))).toBe(1);
  });

  it("T4: a hub that does not answer heartbeats is given up after its lease, and dialled again", async () => {
    await using node = await startNode();
    const first = await node.hub.connection(1);
    node.hub.behaviour.answersHeartbeats = false;
    await node.clock.advance(20_000);
    expect(first.isOver).toBe(false);
    await node.clock.advance(5_000);
    expect(first.isOver).toBe(true);
    node.hub.behaviour.answersHeartbeats = true;
    await node.clock.advance(1_000);
    await node.hub.connection(2);
  });

  it("T4: a refused call is tried again for ever, with growing waits", async () => {
    await using node = await startNode();
    const first = await node.hub.connection(1);
    node.hub.behaviour.callError = new CortexError("UNAVAILABLE", "no hub there");
    first.cut();
    const tries = (): number => node.events.filter((event) => event === "connectFailed UNAVAILABLE").length;
    // The short waits, at most 1 s each, end after 30 s.
    await node.clock.advance(30_000);
    const fastTries = tries();
    expect(fastTries).toBeGreaterThan(10);
    await node.clock.advance(570_000);
    expect(tries() - fastTries).toBeGreaterThan(5);
    expect(tries() - fastTries).toBeLessThan(30);
    node.hub.behaviour.callError = undefined;
    await node.clock.advance(90_000);
    await node.hub.connection(2);
  });

  it("T4: a registration whose answer is lost is made again with a new proof, since an epoch registers once", async () => {
    await using node = await startNode();
    const first = await node.hub.connection(1);
    node.hub.behaviour.lostRegistrations = 2;
    first.cut();
    await node.clock.advance(60_000);
    const second = await node.hub.connection(2);
    expect(second.epoch).toBe(first.epoch + 3n);
    expect(node.hub.behaviour.lostRegistrations).toBe(0);
  });

  it("T4: a goodbye that says when to come back is kept to", async () => {
    await using node = await startNode();
    const first = await node.hub.connection(1);
    await node.clock.advance(6_000);
    first.send({ case: "goodbye", value: { reason: "restart", reconnectAfterMs: 7_000 } } as never);
    await node.clock.advance(6_900);
    expect(node.hub.connections).toHaveLength(1);
    await node.clock.advance(200);
    await node.hub.connection(2);
  });

  it("T4: a hub that welcomes and says goodbye at once is not dialled in a loop", async () => {
    await using node = await startNode();
    for (let turn = 0; turn < 30; turn += 1) {
      const last = node.hub.connections.at(-1);
      if (last?.said("hello").length === 1 && !last.isOver) {
        last.send({ case: "goodbye", value: { reason: "restart", reconnectAfterMs: 1 } } as never);
      }
      await settle();
      await node.clock.advance(100);
    }
    expect(node.hub.connections.length).toBeLessThanOrEqual(MAX_SHORT_LINKS + 3);
  });

  it("T4: a hub cannot send a node away for days", async () => {
    await using node = await startNode();
    const first = await node.hub.connection(1);
    await node.clock.advance(6_000);
    first.send({ case: "goodbye", value: { reason: "restart", reconnectAfterMs: 0xffff_ffff } } as never);
    await settle();
    await node.clock.advance(5 * 60_000);
    await node.hub.connection(2);
  });

  it.each(["NODE_REVOKED", "VERSION_UNSUPPORTED"] as const)("I3: %s ends the node with that error", async (code) => {
    await using node = await startNode();
    const first = await node.hub.connection(1);
    node.hub.behaviour.callError = new CortexError(code, "no");
    first.cut();
    await node.clock.advance(1_000);
    expect((await node.core.ended)?.code).toBe(code);
  });

  it("I2: a second process with the same identity ends this one", async () => {
    await using node = await startNode();
    const first = await node.hub.connection(1);
    first.send({ case: "superseded", value: { epoch: 9n } } as never);
    expect((await node.core.ended)?.code).toBe("SUPERSEDED");
    await node.clock.advance(60_000);
    expect(node.hub.connections).toHaveLength(1);
  });
});
