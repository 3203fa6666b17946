import { once } from "node:events";
import { createSecureServer, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { type AddressInfo, connect, createServer } from "node:net";
import { afterEach, describe, expect, it, vi } from "vitest";
import { AgentOrchestrator } from "../../src/gen/index.js";
import type { ProxyEnvironment } from "../../src/grpc/proxy.js";
import { openTunnel } from "../../src/grpc/proxy-tunnel.js";
import { fetchServerCa } from "../../src/grpc/server-ca.js";
import { dialTls } from "../../src/grpc/tls-dial.js";
import type { ChannelRole } from "../../src/grpc/transport-limits.js";
import { type ConnectProxyOptions, openConnectProxy } from "./support/open-connect-proxy.js";
import { HUB_NAME, hubCertificates, startHub } from "./support/start-hub.js";

const disposables: AsyncDisposable[] = [];

afterEach(async () => {
  vi.unstubAllEnvs();
  for (const disposable of disposables.splice(0).reverse()) await disposable[Symbol.asyncDispose]();
});

function dispose<T extends AsyncDisposable>(disposable: T): T {
  disposables.push(disposable);
  return disposable;
}

/** A name that no resolver knows (RFC 6761): only the proxy leads there. */
const ADDRESS = "hub.invalid:443";

async function startHubBehindProxy(options: Partial<ConnectProxyOptions> = {}) {
  const hub = dispose(
    await startHub({
      syncConfiguration: async () => ({ hubVersion: "behind" }),
      taskStream: (link) => link.onFrames((frames) => frames.forEach((frame) => link.send(frame.slice()))),
      logStream: (link) => link.onFrames((frames) => frames.forEach((frame) => link.send(frame.slice()))),
    }),
  );
  const proxy = dispose(await openConnectProxy({ routes: { [ADDRESS]: hub.port }, ...options }));
  const open = (role: ChannelRole, env = { HTTPS_PROXY: `http://127.0.0.1:${proxy.port}` }) =>
    hub.open(role, { address: ADDRESS, env });
  return { hub, proxy, open };
}

describe("a hub behind an HTTP proxy", () => {
  it("T1: control and data both go through CONNECT, with calls and links on them", async () => {
    const { proxy, open } = await startHubBehindProxy();
    const control = open("control").client(AgentOrchestrator);
    expect((await control.syncConfiguration({})).hubVersion).toBe("behind");
    const links = [control.taskStream(), open("data").client(AgentOrchestrator).logStream()];
    for (const link of links) {
      const echoed = new Promise<string>((resolve) => {
        link.onFrames(([frame = new Uint8Array()]) => resolve(Buffer.from(frame).toString()));
      });
      link.send(Buffer.from("through"));
      expect(await echoed).toBe("through");
    }
    expect(proxy.targets).toEqual([ADDRESS, ADDRESS]);
  });

  it("T1: the hub's authority is fetched through the proxy too, with user and password", async () => {
    const { hub, proxy, open } = await startHubBehindProxy({ credentials: "node:p@ss" });
    const env = { HTTPS_PROXY: `http://node:p%40ss@127.0.0.1:${proxy.port}` };
    const fingerprint = hub.certificates.caFingerprint;
    const caPem = await fetchServerCa({ address: ADDRESS, fingerprint, timeoutMs: 5_000, env });
    expect(caPem.trim()).toBe(hub.certificates.caPem.trim());
    expect((await open("control", env).client(AgentOrchestrator).syncConfiguration({})).hubVersion).toBe("behind");
    expect(proxy.targets).toEqual([ADDRESS, ADDRESS]);
  });

  it("I5: TLS is with the hub and not with the proxy: another name or authority gets no call", async () => {
    const { hub, proxy } = await startHubBehindProxy();
    const env = { HTTPS_PROXY: `http://127.0.0.1:${proxy.port}` };
    const { caPem } = hub.certificates;
    for (const tls of [{ serverName: HUB_NAME }, { caPem, serverName: "hub_other" }, { caPem }]) {
      const call = hub.open("control", { address: ADDRESS, env, tls }).client(AgentOrchestrator).syncConfiguration({});
      await expect(call).rejects.toMatchObject({ code: "UNAVAILABLE" });
    }
    const dialled = dialTls({ address: ADDRESS, timeoutMs: 5_000, tls: { ca: caPem }, env });
    await expect(dialled).rejects.toMatchObject({ code: "UNAUTHENTICATED", message: expect.stringContaining(ADDRESS) });
  });

  it("T1: wrong credentials end in an error that names the proxy and the reason, and no secret", async () => {
    const { hub, proxy, open } = await startHubBehindProxy({ credentials: "node:right" });
    const env = { HTTPS_PROXY: `http://node:wrong@127.0.0.1:${proxy.port}` };
    const fingerprint = hub.certificates.caFingerprint;
    const api = open("control", env).client(AgentOrchestrator);
    const attempts = [
      fetchServerCa({ address: ADDRESS, fingerprint, timeoutMs: 5_000, env }),
      api.syncConfiguration({}),
    ];
    for (const attempt of attempts) {
      const error: unknown = await attempt.catch((thrown: unknown) => thrown);
      const reason = `the proxy 127.0.0.1:${proxy.port} wants other credentials: it answered 407`;
      expect(error).toMatchObject({ code: "UNAVAILABLE", message: expect.stringContaining(reason) });
      expect(JSON.stringify([String(error), error])).not.toMatch(/wrong|d3Jvbmc/);
    }
    expect(await api.taskStream().closed).toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringContaining("407"),
    });
  });

  it("T1: a proxy that refuses the hub, is not there, or speaks something else is named", async () => {
    const { hub, proxy } = await startHubBehindProxy({ routes: {} });
    const fingerprint = hub.certificates.caFingerprint;
    const fetchBy = (port: number) =>
      fetchServerCa({ address: ADDRESS, fingerprint, timeoutMs: 5_000, env: { https_proxy: `127.0.0.1:${port}` } });
    await expect(fetchBy(proxy.port)).rejects.toMatchObject({
      code: "UNAVAILABLE",
      details: { proxy: `127.0.0.1:${proxy.port}`, status: 403 },
    });
    await expect(fetchBy(1)).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringContaining("the proxy 127.0.0.1:1 cannot be reached"),
    });
    const other = createServer((socket) => socket.end("SSH-2.0-other\r\n"));
    other.listen(0, "127.0.0.1");
    await once(other, "listening");
    await expect(fetchBy((other.address() as AddressInfo).port)).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringContaining("gave no answer"),
    });
    other.close();
  });

  it("T1: a proxy that never answers ends the dial in time, and a caller may withdraw before", async () => {
    const { hub, proxy } = await startHubBehindProxy({ isSilent: true });
    const socket = connect(proxy.port, "127.0.0.1");
    const silent = { host: "127.0.0.1", port: proxy.port, address: `127.0.0.1:${proxy.port}`, credentials: undefined };
    const tunnel = openTunnel(socket, { proxy: silent, target: ADDRESS, timeoutMs: 100 });
    await expect(tunnel).rejects.toMatchObject({ message: expect.stringContaining("did not answer within 100 ms") });
    expect(socket.destroyed).toBe(true);
    const env = { https_proxy: silent.address };
    const asked = { address: ADDRESS, fingerprint: hub.certificates.caFingerprint, env };
    await expect(fetchServerCa({ ...asked, timeoutMs: 100 })).rejects.toMatchObject({ code: "TIMED_OUT" });
    const withdrawn = fetchServerCa({ ...asked, timeoutMs: 5_000, signal: AbortSignal.timeout(50) });
    await expect(withdrawn).rejects.toMatchObject({ code: "CANCELLED" });
  });

  it("T1: exceptions and loopback are dialled directly, by the first look and by channels", async () => {
    const { hub, proxy } = await startHubBehindProxy();
    const { caFingerprint: fingerprint } = await hubCertificates();
    const env = { HTTPS_PROXY: `http://127.0.0.1:${proxy.port}`, NO_PROXY: ".invalid" };
    const excepted = hub.open("control", { address: ADDRESS, env }).client(AgentOrchestrator).syncConfiguration({});
    await expect(excepted).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await expect(fetchServerCa({ address: ADDRESS, fingerprint, timeoutMs: 5_000, env })).rejects.toThrow(
      "hub.invalid",
    );
    const address = `127.0.0.1:${hub.port}`;
    await fetchServerCa({ address, fingerprint, timeoutMs: 5_000, env });
    await hub.open("control", { address, env }).client(AgentOrchestrator).syncConfiguration({});
    expect(proxy.targets).toEqual([]);
  });

  it("T1: the process's own environment counts by default, and grpc-js' reading of it never", async () => {
    const { hub, proxy } = await startHubBehindProxy();
    vi.stubEnv("https_proxy", `http://127.0.0.1:${proxy.port}`);
    const call = (address: string, env?: ProxyEnvironment) =>
      hub.open("control", { address, env }).client(AgentOrchestrator).syncConfiguration({});
    await call(ADDRESS);
    expect(proxy.targets).toEqual([ADDRESS]);
    // Loopback, and an environment that was passed in: grpc-js would send both away.
    await call(`127.0.0.1:${hub.port}`);
    await expect(call(ADDRESS, {})).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(proxy.targets).toEqual([ADDRESS]);
  });

  it("T1: calls name the hub and not the proxy that is dialled", async () => {
    const { chainPem: cert, keyPem: key } = await hubCertificates();
    const server = createSecureServer({ cert, key }).listen(0, "127.0.0.1");
    await once(server, "listening");
    let named: string | undefined;
    server.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      named = headers[":authority"];
      stream.respond({ ":status": 200, "content-type": "application/grpc", "grpc-status": "12" }, { endStream: true });
    });
    const routes = { [ADDRESS]: (server.address() as AddressInfo).port };
    const { open } = await startHubBehindProxy({ routes });
    const channel = open("control");
    await expect(channel.client(AgentOrchestrator).syncConfiguration({})).rejects.toMatchObject({
      code: "NOT_SUPPORTED",
    });
    expect(named).toBe(ADDRESS);
    channel.close();
    server.close();
  });

  it("T1: what comes in one packet with the proxy's answer is not lost", async () => {
    const server = createServer((socket) => socket.end("HTTP/1.1 200 OK\r\n\r\nearly")).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const proxy = { host: "127.0.0.1", port, address: `127.0.0.1:${port}`, credentials: undefined };
    const tunnel = await openTunnel(connect(port, "127.0.0.1"), { proxy, target: ADDRESS });
    const [bytes] = (await once(tunnel, "data")) as [Buffer];
    expect(bytes.toString()).toBe("early");
    tunnel.destroy();
    server.close();
  });

  it("T1: a channel dials through the proxy again after a loss", async () => {
    const { hub, proxy, open } = await startHubBehindProxy();
    const api = open("control").client(AgentOrchestrator);
    await api.syncConfiguration({});
    const link = api.taskStream();
    hub.server.forceClose();
    expect(await link.closed).toMatchObject({ code: "UNAVAILABLE" });
    await expect(api.syncConfiguration({})).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await expect.poll(() => api.syncConfiguration({}).catch(() => proxy.targets.length)).toBeGreaterThan(1);
  });
});
