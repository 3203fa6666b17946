import { once } from "node:events";
import { type ClientHttp2Session, connect } from "node:http2";
import { describe, expect, it, onTestFinished } from "vitest";
import { DEFAULT_STRANGER_LIMITS } from "@cortex-mesh/protocol/grpc";
import { bearer, codeOf, enrolPeer } from "../support/grpc-peer.js";
import { type GrpcHub, startGrpcHub } from "../support/start-grpc-hub.js";
import { until } from "../support/until.js";

/** Bare connections of strangers end this long after they began, and a farewell. */
const STRANGERS = { lifeMs: 500 };
/** More than that; far less than the idle time of a connection that is trusted. */
const SOON_MS = 12_000;

/** A bare connection, so that its end shows. */
function openBare({ hub }: GrpcHub): ClientHttp2Session {
  const session = connect(`https://${hub.grpcAddress}`, { rejectUnauthorized: false });
  session.on("error", () => {});
  onTestFinished(() => session.destroy());
  return session;
}

/** Opens a stream with a token; resolves once the hub answered. */
async function ask(session: ClientHttp2Session, method: string, token: string): Promise<void> {
  const stream = session.request({
    ":method": "POST",
    ":path": `/cortex.agent.v1.AgentOrchestrator/${method}`,
    "content-type": "application/grpc",
    te: "trailers",
    ...bearer(token).headers,
  });
  stream.on("error", () => {});
  await once(stream, "response");
}

/** Opens a log stream of a node that registered; resolves once the hub trusts the connection: it allows more calls then. */
async function joinAs(session: ClientHttp2Session, token: string): Promise<void> {
  await ask(session, "LogStream", token);
  await until(() => (session.remoteSettings.maxConcurrentStreams ?? 0) > DEFAULT_STRANGER_LIMITS.maxCalls);
}

const ended = (session: ClientHttp2Session): Promise<unknown> =>
  session.destroyed ? Promise.resolve() : once(session, "close");

describe("a connection of a node", () => {
  it("T5: stays once the node registered on it; one that only showed a token goes with the strangers", async () => {
    const hub = await startGrpcHub({ strangers: STRANGERS });
    const peer = await enrolPeer(hub);
    const connection = await peer.connect();
    const logs = connection.openLogs();
    const beating = setInterval(() => connection.heartbeat(), 1_000);
    onTestFinished(() => clearInterval(beating));
    const other = await enrolPeer(hub);
    const unregistered = openBare(hub);
    await ask(unregistered, "LogStream", (await other.token()).token);
    await ended(unregistered);
    const isOpen = (closed: Promise<unknown>): Promise<unknown> => Promise.race([closed, Promise.resolve("open")]);
    expect(await Promise.all([connection.tasks, connection.health, logs].map((link) => isOpen(link.closed)))).toEqual([
      "open",
      "open",
      "open",
    ]);
    await hub.dispatchTo(peer.nodeId);
    await expect.poll(() => connection.grants().length).toBe(1);
  });

  it("I3: ends soon after the node is revoked, also one that was idle, and its token makes no new one last", async () => {
    const hub = await startGrpcHub();
    const peer = await enrolPeer(hub);
    const connection = await peer.connect();
    const trusted = openBare(hub);
    await joinAs(trusted, connection.token);
    await hub.alice.revokeNode({ nodeId: peer.nodeId });
    const startMs = performance.now();
    await ended(trusted);
    expect(performance.now() - startMs).toBeLessThan(SOON_MS);
    expect(await codeOf(peer.register(connection.token))).toBe("NODE_REVOKED");
  });

  it("T5: is a stranger's again after the registration ended", async () => {
    const hub = await startGrpcHub({ strangers: STRANGERS });
    const peer = await enrolPeer(hub);
    const connection = await peer.connect();
    const trusted = openBare(hub);
    await joinAs(trusted, connection.token);
    connection.tasks.close();
    const startMs = performance.now();
    await ended(trusted);
    expect(performance.now() - startMs).toBeLessThan(SOON_MS);
  });
});
