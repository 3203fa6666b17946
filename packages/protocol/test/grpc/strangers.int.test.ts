import { once } from "node:events";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { afterEach, describe, expect, it } from "vitest";
import type { Clock } from "../../src/clock.js";
import { AgentOrchestrator } from "../../src/gen/index.js";
import type { GrpcServerOptions } from "../../src/grpc/server.js";
import type { StrangerLimits } from "../../src/grpc/stranger-guard.js";
import { MAX_STREAMS_PER_CONNECTION } from "../../src/grpc/transport-limits.js";
import { openRawSession } from "./support/open-raw-session.js";
import { HUB_NAME, startHub, type TestHub } from "./support/start-hub.js";

const LIMITS: StrangerLimits = { maxConnections: 6, maxConnectionsPerAddress: 4, maxCalls: 2, lifeMs: 1_000 };

const disposables: AsyncDisposable[] = [];
afterEach(async () => {
  for (const disposable of disposables.splice(0).reverse()) await disposable[Symbol.asyncDispose]();
});
function dispose<T extends AsyncDisposable>(disposable: T): T {
  disposables.push(disposable);
  return disposable;
}

/** A hub that trusts whoever opens a health stream; a task stream stays open and trusts nobody. */
async function startGuarded(options: Partial<GrpcServerOptions> = {}): Promise<TestHub> {
  const handlers = {
    taskStream: () => {},
    reportHealth: (_link: unknown, context: { trust(): void }) => context.trust(),
    syncConfiguration: async () => ({ hubVersion: "x" }),
  };
  return dispose(await startHub(handlers, { strangers: LIMITS, ...options }));
}

function keep<T extends { destroy(): unknown; on(event: "error", listener: () => void): unknown }>(peer: T): T {
  peer.on("error", () => {});
  disposables.push({ [Symbol.asyncDispose]: async () => void peer.destroy() });
  return peer;
}

const openTcp = (hub: TestHub): Socket => keep(connectTcp(hub.port, "127.0.0.1"));
const openTls = (hub: TestHub, ALPNProtocols?: string[]): TLSSocket =>
  keep(
    connectTls({
      port: hub.port,
      host: "127.0.0.1",
      ca: hub.certificates.caPem,
      servername: HUB_NAME,
      ...(ALPNProtocols === undefined ? {} : { ALPNProtocols }),
    }),
  );
const openHttp2 = (hub: TestHub): ClientHttp2Session =>
  keep(connectHttp2(`https://127.0.0.1:${hub.port}`, { ca: hub.certificates.caPem, servername: HUB_NAME }));

/** Resolves with true when a connection is closed. */
function isClosed(peer: Socket | ClientHttp2Session): Promise<boolean> {
  // A socket that is not read never hears of its end.
  if ("resume" in peer) peer.resume();
  return new Promise((resolve) => {
    if (peer.destroyed) resolve(true);
    else peer.once("close", () => resolve(true));
  });
}

/** An honest peer is served. */
async function assertServes(hub: TestHub): Promise<void> {
  expect((await hub.open("control").client(AgentOrchestrator).syncConfiguration({})).hubVersion).toBe("x");
}

describe("a peer that is slow on purpose", () => {
  it("T5: is dropped in every phase before its first call, and the others are served meanwhile", async () => {
    const hub = await startGuarded({ handshakeTimeoutMs: 400, strangers: { ...LIMITS, maxConnectionsPerAddress: 6 } });
    const silent = openTcp(hub);
    const halfHello = openTcp(hub);
    halfHello.write(Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00]));
    const noPreface = openTls(hub, ["h2"]);
    const halfPreface = openTls(hub, ["h2"]);
    halfPreface.once("secureConnect", () => halfPreface.write("PRI * HTTP/2"));
    const noCall = openHttp2(hub);
    await assertServes(hub);
    const peers = [silent, halfHello, noPreface, halfPreface, noCall];
    expect(await Promise.all(peers.map(isClosed))).toEqual(peers.map(() => true));
    await assertServes(hub);
  });

  it("T5: that speaks no HTTP/2 is dropped", async () => {
    const hub = await startGuarded({ handshakeTimeoutMs: 400 });
    const other = openTls(hub, ["http/1.1"]);
    const none = openTls(hub);
    expect(await Promise.all([isClosed(other), isClosed(none)])).toEqual([true, true]);
    await assertServes(hub);
  });
});

describe("peers that have not shown who they are", () => {
  it("T5: get so many connections from one address and no more; one that shows it makes room", async () => {
    const hub = await startGuarded();
    const first = await openCalling(hub, "TaskStream");
    const more = await Promise.all([1, 2, 3].map(() => openCalling(hub, "TaskStream")));
    const tooMany = openTcp(hub);
    expect(await isClosed(tooMany)).toBe(true);
    expect([first, ...more].some((session) => session.destroyed)).toBe(false);
    await call(first, "ReportHealth");
    const next = await openCalling(hub, "TaskStream");
    expect(next.destroyed).toBe(false);
    expect(await isClosed(openTcp(hub))).toBe(true);
    more[0]?.destroy();
    await expect.poll(async () => (await openCalling(hub, "TaskStream").catch(() => undefined))?.destroyed).toBe(false);
  });

  it("T5: are bounded together, from all addresses", async () => {
    const hub = await startGuarded({ strangers: { ...LIMITS, maxConnections: 2 } });
    await openCalling(hub, "TaskStream");
    await openCalling(hub, "TaskStream");
    expect(await isClosed(openTcp(hub))).toBe(true);
  });

  it("T5: get few calls at once, and all of them once they have shown it", async () => {
    const hub = await startGuarded();
    const raw = dispose(openRawSession(hub));
    await raw.settings(({ maxConcurrentStreams }) => maxConcurrentStreams === LIMITS.maxCalls);
    const raised = raw.settings(({ maxConcurrentStreams }) => maxConcurrentStreams === MAX_STREAMS_PER_CONNECTION);
    await call(raw.session, "ReportHealth");
    await raised;
  });

  it("T5: are sent away after a while, however busy they are; who has shown it stays", async () => {
    const clock = createHandClock();
    const hub = await startGuarded({ clock, strangers: { ...LIMITS, lifeMs: 60_000 } });
    const busy = await openCalling(hub, "TaskStream");
    const trusted = await openCalling(hub, "ReportHealth");
    clock.advance(59_000);
    expect([busy.closed, trusted.closed]).toEqual([false, false]);
    // Told to go first, so that what is under way may end.
    const told = once(busy, "goaway");
    clock.advance(1_000);
    await told;
    clock.advance(5_000);
    expect(await isClosed(busy)).toBe(true);
    expect(trusted.closed).toBe(false);
    await call(trusted, "TaskStream");
    // The clock stands still, and with it the server's patience when it closes.
    hub.server.forceClose();
  });
});

/** A clock that a test moves. */
function createHandClock(): Clock & { advance(byMs: number): void } {
  const timers = new Set<{ readonly atMs: number; readonly run: () => void }>();
  let nowMs = 0;
  return {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    setTimer(run, delayMs) {
      const timer = { atMs: nowMs + delayMs, run };
      timers.add(timer);
      return { cancel: () => void timers.delete(timer) };
    },
    advance(byMs) {
      nowMs += byMs;
      for (const timer of [...timers]) {
        if (timer.atMs > nowMs || !timers.delete(timer)) continue;
        timer.run();
      }
    },
  };
}

/** Opens a stream of the service and waits for the answer's head. */
async function call(session: ClientHttp2Session, method: string): Promise<void> {
  const stream = session.request({
    ":method": "POST",
    ":path": `/cortex.agent.v1.AgentOrchestrator/${method}`,
    "content-type": "application/grpc",
    te: "trailers",
  });
  stream.on("error", () => {});
  await once(stream, "response");
}

async function openCalling(hub: TestHub, method: string): Promise<ClientHttp2Session> {
  const session = openHttp2(hub);
  await call(session, method);
  return session;
}
