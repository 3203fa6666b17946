import { describe, expect, it } from "vitest";
import { generateSigningKey } from "@cortex-mesh/protocol";
import { taskIdOf } from "../support/scripted-hub.js";
import { startNode } from "../support/start-node.js";
import { settle } from "../support/wait-until.js";

describe("a grant that does not hold", () => {
  it.each([
    ["of another key", { signer: generateSigningKey() }, "signature"],
    ["for another node", { header: { nodeId: "node_01HZZZZZZZZZZZZZZZZZZZZZZA" } }, "node"],
    ["of another hub", { header: { hubId: "hub_01HZZZZZZZZZZZZZZZZZZZZZZA" } }, "hub"],
    ["for another connection", { header: { sessionNonce: new Uint8Array(16) } }, "nonce"],
    ["of another epoch", { header: { epoch: 99n } }, "epoch"],
  ])("I4: one %s is refused without a word to the hub, and the node lives", async (_name, spec, reason) => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1, ...spec });
    hub.dispatch({ index: 2 });
    await hub.heard("started", 2);
    expect(node.refused.map((error) => error.details["reason"])).toEqual([reason]);
    expect(node.probe.starts.has(taskIdOf(1))).toBe(false);
    expect(hub.said("declined")).toEqual([]);
    expect(hub.isOver).toBe(false);
  });

  it("I4: one that was altered is refused", async () => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    const grant = hub.grant({ index: 1 });
    grant.payload = Uint8Array.from(grant.payload, (byte, at) => (at === grant.payload.length - 1 ? byte ^ 1 : byte));
    hub.sendGrant(grant);
    hub.dispatch({ index: 2 });
    await hub.heard("started", 2);
    expect(node.refused).toHaveLength(1);
    expect(node.probe.starts.has(taskIdOf(1))).toBe(false);
  });

  it("I4: one that has expired is declined for good, and never starts later", async () => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1, header: { notAfterMs: BigInt(node.clock.nowMs() - 120_000) } });
    expect(await hub.heard("declined", 1)).toMatchObject({ final: true, errorCode: "GRANT_REFUSED" });
    hub.dispatch({ index: 1 });
    await settle();
    expect(node.probe.starts.has(taskIdOf(1))).toBe(false);
  });

  it("I4: an expired copy of a running task's grant does not make the node decline what runs", async () => {
    await using node = await startNode();
    const hub = await node.hub.connection(1);
    hub.dispatch({ index: 1 });
    await hub.heard("started", 1);
    hub.dispatch({ index: 1, header: { notAfterMs: BigInt(node.clock.nowMs() - 120_000) } });
    await settle();
    expect(hub.said("declined")).toEqual([]);
    expect(node.refused).toHaveLength(1);
  });
});
