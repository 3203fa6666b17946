import { once } from "node:events";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { afterEach, describe, expect, it } from "vitest";
import type { Clock } from "../../src/clock.js";
import { AgentOrchestrator } from "../../src/gen/index.js";
import type { GrpcServerOptions } from "../../src/grpc/server.js";
import { MAX_TRUSTED_PER_OWNER, type StrangerLimits } from "../../src/grpc/stranger-guard.js";
import { MAX_STREAMS_PER_CONNECTION, WINDOW_BYTES } from "../../src/grpc/transport-limits.js";
import { openRawSession } from "./support/open-raw-session.js";
import { HUB_NAME, startHub, type TestHub } from "./support/start-hub.js";

const MIB = 1024 * 1024;
const LIMITS: StrangerLimits = {
  maxConnections: 6,
  maxCalls: 2,
  lifeMs: 1_000,
  maxBytes: 64 * MIB,
  maxBytesEach: 2 * MIB,
};

const disposables: AsyncDisposable[] = [];
afterEach(async () => {
  for (const disposable of disposables.splice(0).reverse()) await disposable[Symbol.asyncDispose]();
});
function dispose<T extends AsyncDisposable>(disposable: T): T {
  disposables.push(disposable);
  return disposable;
}

/** A hub that trusts whoever opens a health or log stream, as one owner; a task stream stays open and trusts nobody. */
async function startGuarded(options: Partial<GrpcServerOptions> = {}): Promise<TestHub> {
  const handlers = {
    taskStream: () => {},
    reportHealth: (_link: unknown, context: { trust(owner: string): void }) => context.trust("somebody"),
    logStream: (_link: unknown, context: { trust(owner: string): void }) => context.trust("somebody"),
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
    const hub = await startGuarded({ handshakeTimeoutMs: 400 });
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
  it("T5: make way for newcomers, the oldest first, and one that shows who it is keeps its place", async () => {
    const hub = await startGuarded({ strangers: { ...LIMITS, maxConnections: 2, lifeMs: 60_000 } });
    const first = await openCalling(hub, "TaskStream");
    const second = await openCalling(hub, "TaskStream");
    const third = await openCalling(hub, "TaskStream");
    expect(await isClosed(first)).toBe(true);
    expect([second.destroyed, third.destroyed]).toEqual([false, false]);
    await call(second, "ReportHealth");
    const rest = [await openCalling(hub, "TaskStream"), await openCalling(hub, "TaskStream")];
    expect(await isClosed(third)).toBe(true);
    expect([second, ...rest].map(({ destroyed }) => destroyed)).toEqual([false, false, false]);
  });

  it("T5: that send more than one may have sent are dropped, and what they sent in unfinished calls with them", async () => {
    const hub = await startGuarded({ strangers: { ...LIMITS, lifeMs: 60_000, maxBytesEach: MIB } });
    const modest = await openFilling(hub, MIB / 4);
    const greedy = await openFilling(hub, 2 * MIB);
    expect(await isClosed(greedy)).toBe(true);
    expect(modest.destroyed).toBe(false);
    await assertServes(hub);
  });

  it("T5: that send more than all may have sent lose the largest, and only that", async () => {
    const limits = { ...LIMITS, lifeMs: 60_000, maxBytesEach: 64 * MIB, maxBytes: MIB };
    const hub = await startGuarded({ strangers: limits });
    const small = await openFilling(hub, MIB / 4);
    const large = await openFilling(hub, (MIB * 7) / 8);
    expect(await isClosed(large)).toBe(true);
    expect(small.destroyed).toBe(false);
    await assertServes(hub);
  });

  it("T5: that show who they are may send as much as they like", async () => {
    const hub = await startGuarded({ strangers: { ...LIMITS, lifeMs: 60_000, maxBytesEach: MIB } });
    const known = await openCalling(hub, "ReportHealth");
    await fill(known, 2 * MIB);
    const clockedOut = await openFilling(hub, 2 * MIB);
    expect(await isClosed(clockedOut)).toBe(true);
    expect(known.destroyed).toBe(false);
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

describe("peers that have shown who they are", () => {
  const patient: StrangerLimits = { ...LIMITS, maxConnections: 64, lifeMs: 60_000 };

  it("T5: get so many connections for one owner; further ones are strangers'", async () => {
    const clock = createHandClock();
    const hub = await startGuarded({ clock, strangers: patient });
    const sessions: ClientHttp2Session[] = [];
    for (let count = 0; count < MAX_TRUSTED_PER_OWNER; count += 1)
      sessions.push(await openCalling(hub, "ReportHealth"));
    const further = await openCalling(hub, "ReportHealth");
    clock.advance(60_000);
    clock.advance(5_000);
    expect(await isClosed(further)).toBe(true);
    expect(sessions.some((session) => session.closed)).toBe(false);
    hub.server.forceClose();
  });

  it("T5: are strangers again when the trust is withdrawn, and trusted again when they show it again", async () => {
    const clock = createHandClock();
    const hub = await startGuarded({ clock, strangers: patient });
    const idle = await openCalling(hub, "ReportHealth");
    const back = await openCalling(hub, "ReportHealth");
    hub.server.withdrawTrust("somebody");
    await call(back, "ReportHealth");
    clock.advance(60_000);
    clock.advance(5_000);
    expect(await isClosed(idle)).toBe(true);
    expect(back.closed).toBe(false);
    hub.server.forceClose();
  });

  it("I3: lose their connections a little after it is withdrawn for good, with what they have under way", async () => {
    const clock = createHandClock();
    const hub = await startGuarded({ clock, strangers: patient });
    const session = await openCalling(hub, "ReportHealth");
    const told = once(session, "goaway");
    hub.server.withdrawTrust("somebody", { isFinal: true });
    await told;
    clock.advance(5_000);
    expect(await isClosed(session)).toBe(true);
    hub.server.forceClose();
  });

  it("X1: get the large windows of bulk then, and not before", async () => {
    const hub = await startGuarded({ strangers: { ...patient, maxCalls: 8 } });
    const raw = dispose(openRawSession(hub));
    const windows: (number | undefined)[] = [];
    raw.session.on("remoteSettings", ({ initialWindowSize }) => windows.push(initialWindowSize));
    await call(raw.session, "TaskStream", DATA_AGENT);
    await new Promise((resolve) => raw.session.ping(() => resolve(undefined)));
    expect(windows.at(-1)).toBe(WINDOW_BYTES.control);
    const raised = raw.settings(({ initialWindowSize }) => initialWindowSize === WINDOW_BYTES.data);
    await call(raw.session, "LogStream", DATA_AGENT);
    await raised;
  });
});

const DATA_AGENT = { "user-agent": "cortex-data/1" };

/** Begins a call whose message never ends, and sends that much of it. */
async function fill(session: ClientHttp2Session, bytes: number): Promise<void> {
  const stream = session.request({
    ":method": "POST",
    ":path": "/cortex.agent.v1.AgentOrchestrator/SyncConfiguration",
    "content-type": "application/grpc",
    te: "trailers",
  });
  stream.on("error", () => {});
  const head = Buffer.alloc(5);
  head.writeUInt32BE(2 * MIB, 1);
  stream.write(head);
  for (let sent = 0; sent < bytes; sent += 64 * 1024) stream.write(Buffer.alloc(64 * 1024));
  await new Promise<void>((resolve) => void stream.write(Buffer.alloc(1), () => resolve()));
}

async function openFilling(hub: TestHub, bytes: number): Promise<ClientHttp2Session> {
  const session = openHttp2(hub);
  await fill(session, bytes);
  return session;
}

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
async function call(
  session: ClientHttp2Session,
  method: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<void> {
  const stream = session.request({
    ":method": "POST",
    ":path": `/cortex.agent.v1.AgentOrchestrator/${method}`,
    "content-type": "application/grpc",
    te: "trailers",
    ...headers,
  });
  stream.on("error", () => {});
  await once(stream, "response");
}

async function openCalling(hub: TestHub, method: string): Promise<ClientHttp2Session> {
  const session = openHttp2(hub);
  await call(session, method);
  return session;
}
