import { describe, expect, it, onTestFinished } from "vitest";
import { AgentOrchestrator } from "@cortex-mesh/protocol/gen";
import { MAX_UNTAKEN_BYTES } from "../../src/link/until-taken.js";
import { assertServes, bearer, codeOf, enrolPeer } from "../support/grpc-peer.js";
import { startGrpcHub } from "../support/start-grpc-hub.js";
import { untilStill } from "../support/until.js";

/** Answers to these are more than two windows and what the hub holds for a node. */
const PINGS = 200_000;
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

  it("I3: loses its streams although it reads nothing and answers wait for it, and the hub knows nothing of it", async () => {
    const hub = await startGrpcHub();
    const peer = await enrolPeer(hub);
    const connection = await peer.connect();
    const beating = setInterval(() => connection.heartbeat(), 1_000);
    onTestFinished(() => clearInterval(beating));
    connection.tasks.onFrames(() => new Promise(() => {}));
    for (let index = 0; index < PINGS; index += 1) connection.say({ case: "ping", value: { id: 2n ** 64n - 1n } });
    // The hub takes no more of it: its answers wait.
    await untilStill(() => connection.tasks.bufferedBytes);
    expect(connection.tasks.bufferedBytes).toBeGreaterThan(MAX_UNTAKEN_BYTES);
    await hub.alice.revokeNode({ nodeId: peer.nodeId });
    expect((await connection.health.closed)?.code).toBe("NODE_REVOKED");
    // What waits in front of the reason is never read: the end comes as a reset of the stream, or of the connection.
    expect(await connection.tasks.closed).toBeDefined();
    expect((await hub.alice.getNode({ nodeId: peer.nodeId })).status).toBe("revoked");
    const late = peer.open("data").client(AgentOrchestrator).logStream(bearer(connection.token));
    expect((await late.closed)?.code).toBe("SUPERSEDED");
    await assertServes(hub);
  });
});
