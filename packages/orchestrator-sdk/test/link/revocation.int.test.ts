import { describe, expect, it } from "vitest";
import { assertServes, codeOf, enrolPeer } from "../support/grpc-peer.js";
import { startGrpcHub } from "../support/start-grpc-hub.js";

/** What the promise allows. */
const REVOKED_WITHIN_MS = 5_000;

describe("a node that is revoked, over the network", () => {
  it("I3: hears so on its control, health and log streams within 5 s, and gets nothing more", async () => {
    const hub = await startGrpcHub();
    const peer = await enrolPeer(hub);
    const connection = await peer.connect();
    const logs = [connection.openLogs(), connection.openLogs()];
    // The data connection is dialled, and its streams are the connection's, before the revocation.
    await hub.dispatchTo(peer.nodeId);
    await expect.poll(() => connection.grants().length).toBe(1);
    const streams = [connection.tasks, connection.health, ...logs];
    const startMs = performance.now();
    await hub.alice.revokeNode({ nodeId: peer.nodeId });
    const ends = await Promise.all(streams.map((link) => link.closed));
    expect(ends.map((end) => end?.code)).toEqual(Array.from({ length: 4 }, () => "NODE_REVOKED"));
    expect(performance.now() - startMs).toBeLessThan(REVOKED_WITHIN_MS);
    expect(await codeOf(peer.token())).toBe("NODE_REVOKED");
    expect(await codeOf(peer.register(connection.token))).toBe("NODE_REVOKED");
    expect((await hub.alice.getNode({ nodeId: peer.nodeId })).status).toBe("revoked");
    await assertServes(hub);
  });

  it("I3: hears so although it reads nothing, and its streams are gone", async () => {
    const hub = await startGrpcHub();
    const peer = await enrolPeer(hub);
    const connection = await peer.connect();
    connection.tasks.onFrames(() => new Promise(() => {}));
    connection.say({ case: "ping", value: { id: 1n } });
    connection.say({ case: "ping", value: { id: 2n } });
    await hub.alice.revokeNode({ nodeId: peer.nodeId });
    expect((await connection.health.closed)?.code).toBe("NODE_REVOKED");
    await assertServes(hub);
  });
});
