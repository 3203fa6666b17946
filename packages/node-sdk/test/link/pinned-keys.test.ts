import { describe, expect, it } from "vitest";
import { CortexError, generateSigningKey, type SigningKey } from "@cortex-mesh/protocol";
import { openPinnedKeys } from "../../src/link/pinned-keys.js";
import { taskIdOf } from "../support/scripted-hub.js";
import { startNode } from "../support/start-node.js";

const pin = ({ keyId, publicKey }: SigningKey, notAfterMs = 0) => ({
  keyId,
  publicKey: Buffer.from(publicKey).toString("base64"),
  notAfterMs,
});
const named = ({ keyId, publicKey }: SigningKey, notAfterMs = 0n) => ({
  $typeName: "cortex.agent.v1.GrantKey" as const,
  keyId,
  publicKey,
  notAfterMs,
});

describe("the keys of a connection", () => {
  const [own, next, foreign] = [generateSigningKey(), generateSigningKey(), generateSigningKey()] as const;

  it("I4: are those that the hub names and the node pinned when it enrolled", () => {
    expect([...openPinnedKeys([pin(own)], [named(own)], 0).keys()]).toEqual([own.keyId]);
    expect([...openPinnedKeys([pin(own), pin(next)], [named(next)], 0).keys()]).toEqual([next.keyId]);
    expect(openPinnedKeys([pin(own)], [], 0).size).toBe(0);
  });

  it.each([
    ["another key", [pin(own)], [named(foreign)]],
    ["another key beside a pinned one", [pin(own)], [named(own), named(foreign)]],
    ["any key at a node that pinned none", [], [named(own)]],
  ])("I4: %s is refused with what to do", (_what, pinned, keys) => {
    expect(() => openPinnedKeys(pinned, keys, 0)).toThrow(CortexError);
    expect(() => openPinnedKeys(pinned, keys, 0)).toThrow(/did not get when it enrolled.*enrol the node again/);
  });

  it("I4: do not outlive the end that they were pinned with, whatever the hub says now", () => {
    expect(openPinnedKeys([pin(own, 1_000)], [named(own)], 1_000).size).toBe(1);
    expect(openPinnedKeys([pin(own, 1_000)], [named(own)], 1_001).size).toBe(0);
  });

  it("I4: a registration that brings a key of its own makes no connection; the node waits for its hub", async () => {
    await using node = await startNode();
    const first = await node.hub.connection(1);
    node.hub.behaviour.moreKeys = [foreign];
    first.cut();
    await node.clock.advance(10_000);
    expect(node.hub.connections).toHaveLength(1);
    expect(node.events).toContain("connectFailed UNAUTHENTICATED");
    node.hub.behaviour.moreKeys = [];
    await node.clock.advance(2_000);
    const second = await node.hub.connection(2);
    second.dispatch({ index: 1 });
    await second.heard("started", 1);
    expect(node.probe.starts.get(taskIdOf(1))).toBe(1);
  });
});
