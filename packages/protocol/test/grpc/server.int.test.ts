import { once } from "node:events";
import { connect } from "node:net";
import { Client, credentials, type ServiceError } from "@grpc/grpc-js";
import { afterEach, describe, expect, it } from "vitest";
import { CortexError, type CortexErrorCode } from "../../src/errors.js";
import { AgentOrchestrator } from "../../src/gen/index.js";
import { fromServiceError } from "../../src/grpc/status.js";
import { WINDOW_BYTES } from "../../src/grpc/transport-limits.js";
import type { Link } from "../../src/link.js";
import { makeCertificates } from "./support/make-certificates.js";
import { openRawSession } from "./support/open-raw-session.js";
import { openTcpProxy } from "./support/open-tcp-proxy.js";
import { HUB_NAME, startHub } from "./support/start-hub.js";

/** Every code; the type makes a missing one an error. */
const CODES: Readonly<Record<CortexErrorCode, true>> = {
  BAD_REQUEST: true,
  PATH_OUTSIDE_WORKSPACE: true,
  BAD_NAME: true,
  UNAUTHENTICATED: true,
  POLICY_DENIED: true,
  NOT_FOUND: true,
  IDEMPOTENCY_CONFLICT: true,
  NODE_REVOKED: true,
  NODE_NOT_ATTACHED: true,
  ALREADY_ENDED: true,
  LOCKED: true,
  REVISION_CONFLICT: true,
  PRECONDITION_FAILED: true,
  PAST_RETENTION: true,
  TOO_LARGE: true,
  QUOTA_EXCEEDED: true,
  NOT_SUPPORTED: true,
  UNAVAILABLE: true,
  STORAGE_FULL: true,
  SANDBOX_UNAVAILABLE: true,
  COMMAND_NOT_FOUND: true,
  SKILL_NOT_FOUND: true,
  GRANT_REFUSED: true,
  INVITE_REFUSED: true,
  SUPERSEDED: true,
  STREAM_GAP: true,
  VERSION_UNSUPPORTED: true,
  DATA_CORRUPT: true,
  STATE_IN_USE: true,
  CANCELLED: true,
  TIMED_OUT: true,
  INTERNAL: true,
};

const disposables: AsyncDisposable[] = [];

afterEach(async () => {
  for (const disposable of disposables.splice(0).reverse()) await disposable[Symbol.asyncDispose]();
});

function dispose<T extends AsyncDisposable>(disposable: T): T {
  disposables.push(disposable);
  return disposable;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("grpc server: calls", () => {
  it("T2: every error code of a handler arrives as it was thrown, from unary calls and from streams", async () => {
    const codeOf = (header: string | undefined): CortexErrorCode => (header ?? "INTERNAL") as CortexErrorCode;
    const hub = dispose(
      await startHub({
        async syncConfiguration(_request, context) {
          throw new CortexError(codeOf(context.header("code")), "because", { details: { seq: 4 } });
        },
        async taskStream(_link, context) {
          await turn();
          throw new CortexError(codeOf(context.header("code")), "because", { details: { seq: 4 } });
        },
      }),
    );
    const api = hub.open("control").client(AgentOrchestrator);
    for (const code of Object.keys(CODES)) {
      const expected =
        code === "INTERNAL"
          ? { code, message: "internal error", details: {} }
          : { code, message: "because", details: { seq: 4 } };
      await expect(api.syncConfiguration({}, { headers: { code } })).rejects.toMatchObject(expected);
      expect(await api.taskStream({ headers: { code } }).closed).toMatchObject(expected);
    }
  });

  it("T2: a unary call carries its request, headers and answer, and a handler sees who calls", async () => {
    const hub = dispose(
      await startHub({
        async syncConfiguration(request, context) {
          const hubVersion = `${request.nodeId} ${context.header("authorization")} ${context.peerAddress.split(":")[0]}`;
          return { epoch: request.highestGrantEpoch, hubVersion };
        },
      }),
    );
    const api = hub.open("control").client(AgentOrchestrator);
    const request = { nodeId: "n1", highestGrantEpoch: 2n ** 64n - 1n };
    const answer = await api.syncConfiguration(request, { headers: { authorization: "Bearer t" } });
    expect([answer.epoch, answer.hubVersion]).toEqual([2n ** 64n - 1n, "n1 Bearer t 127.0.0.1"]);
  });

  it("T2: a method without a handler says that it is not supported", async () => {
    const api = dispose(await startHub({}))
      .open("data")
      .client(AgentOrchestrator);
    await expect(api.syncConfiguration({})).rejects.toMatchObject({ code: "NOT_SUPPORTED" });
    expect(await api.bridge().closed).toMatchObject({ code: "NOT_SUPPORTED" });
  });

  it("T2: a call ends by its time-out or its signal, and the handler hears of it", async () => {
    const ended: Promise<unknown>[] = [];
    const hub = dispose(
      await startHub({
        syncConfiguration(_request, { signal }) {
          ended.push(once(signal, "abort"));
          return new Promise(() => {});
        },
      }),
    );
    const api = hub.open("control").client(AgentOrchestrator);
    await expect(api.syncConfiguration({}, { timeoutMs: 200 })).rejects.toMatchObject({ code: "TIMED_OUT" });
    await expect(api.syncConfiguration({}, { signal: AbortSignal.timeout(100) })).rejects.toMatchObject({
      code: "CANCELLED",
    });
    await expect(api.syncConfiguration({}, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "CANCELLED",
    });
    expect(await Promise.all(ended)).toHaveLength(2);
  });

  it("T5: a message that is no batch of frames closes the link on both sides with BAD_REQUEST", async () => {
    let accept = (_link: Link): void => {};
    const accepted = new Promise<Link>((resolve) => {
      accept = resolve;
    });
    const hub = dispose(
      await startHub({
        taskStream(link) {
          link.onFrames(() => {});
          accept(link);
        },
      }),
    );
    const trust = credentials.createSsl(Buffer.from(hub.certificates.caPem));
    const peer = new Client(`127.0.0.1:${hub.port}`, trust, { "grpc.ssl_target_name_override": HUB_NAME });
    const path = "/cortex.agent.v1.AgentOrchestrator/TaskStream";
    const asIs = (bytes: Buffer): Buffer => bytes;
    const stream = peer.makeBidiStreamRequest(path, asIs, asIs);
    stream.resume();
    stream.write(Buffer.from([0x0a, 0x05, 0x01]));
    const [error] = (await once(stream, "error").catch((thrown: unknown) => [thrown])) as [ServiceError];
    expect(fromServiceError(error).code).toBe("BAD_REQUEST");
    expect(await (await accepted).closed).toMatchObject({ code: "BAD_REQUEST" });
    peer.close();
  });

  it("T1: bulk is refused on a control channel before anything is sent", async () => {
    const hub = dispose(await startHub({}));
    expect(() => hub.open("control").client(AgentOrchestrator).logStream()).toThrow(TypeError);
  });
});

describe("grpc server: connections", () => {
  it("T5: an upload moves far more than 64 KiB without the reader, 8 MiB on data and 1 MiB on control", async () => {
    const never = (): Promise<void> => new Promise(() => {});
    const stall = (link: { onFrames(listener: () => Promise<void>): void }): void => link.onFrames(never);
    const hub = dispose(await startHub({ taskStream: stall, logStream: stall }));
    for (const role of ["control", "data"] as const) {
      const api = hub.open(role).client(AgentOrchestrator);
      const link = role === "control" ? api.taskStream() : api.logStream();
      let sentBytes = 0;
      while (sentBytes - link.bufferedBytes < WINDOW_BYTES[role] * 0.9) {
        if (link.bufferedBytes < 1024 * 1024) {
          link.send(new Uint8Array(64 * 1024));
          sentBytes += 64 * 1024;
        }
        await turn();
      }
      expect(sentBytes).toBeLessThan(WINDOW_BYTES[role] + 4 * 1024 * 1024);
    }
  });

  it("I5: a hub of another authority, or with another name, gets no call", async () => {
    const hub = dispose(await startHub({ syncConfiguration: async () => ({}) }));
    const other = await makeCertificates(HUB_NAME);
    const strangers = [
      { caPem: other.caPem, serverName: HUB_NAME },
      { caPem: hub.certificates.caPem, serverName: "hub_01JD0000000000000000000001" },
      { serverName: HUB_NAME },
    ];
    for (const tls of strangers) {
      const call = hub.open("control", { tls }).client(AgentOrchestrator).syncConfiguration({});
      await expect(call).rejects.toMatchObject({ code: "UNAVAILABLE" });
    }
    await hub.open("control").client(AgentOrchestrator).syncConfiguration({});
  });

  it("T5: a connection that makes no call is dropped, one with a call stays", async () => {
    const hub = dispose(await startHub({ taskStream: () => {} }, { handshakeTimeoutMs: 300 }));
    const used = dispose(openRawSession(hub));
    expect(await used.request()).toBe(200);
    const plain = connect(hub.port, "127.0.0.1");
    plain.on("error", () => {});
    const silent = dispose(openRawSession(hub));
    await Promise.all([once(silent.session, "close"), once(plain, "close")]);
    expect(used.session.destroyed).toBe(false);
  });

  it("T5: headers over the limit are refused, and the connection lives on", async () => {
    const hub = dispose(await startHub({ syncConfiguration: async () => ({ hubVersion: "x" }) }));
    const api = hub.open("control").client(AgentOrchestrator);
    const call = (sizeBytes: number) => api.syncConfiguration({}, { headers: { padding: "x".repeat(sizeBytes) } });
    // The limit counts once the peer has acknowledged the settings, which the first answer shows.
    await call(8 * 1024);
    await expect(call(20 * 1024)).rejects.toMatchObject({ code: "QUOTA_EXCEEDED" });
    await call(8 * 1024);
  });

  it("T4: a frozen connection is noticed by both sides through keepalive", async () => {
    const keepalive = { intervalMs: 200, timeoutMs: 200 };
    let accept = (_link: Link): void => {};
    const accepted = new Promise<Link>((resolve) => {
      accept = resolve;
    });
    const hub = dispose(await startHub({ taskStream: (link) => accept(link) }, { keepalive }));
    const proxy = dispose(await openTcpProxy(hub.port));
    const channel = hub.open("control", { address: proxy.address, keepalive });
    const link = channel.client(AgentOrchestrator).taskStream();
    const server = await accepted;
    proxy.freeze();
    expect(await link.closed).toMatchObject({ code: "UNAVAILABLE" });
    expect(await server.closed).toMatchObject({ code: "UNAVAILABLE" });
  });

  it("T7: closing waits for calls up to the grace time, and then ends them; twice is harmless", async () => {
    const hub = await startHub({ taskStream: () => {} });
    const link = hub.open("control").client(AgentOrchestrator).taskStream();
    link.onFrames(() => {});
    await hub
      .open("control")
      .client(AgentOrchestrator)
      .syncConfiguration({})
      .catch(() => {});
    const closing = hub.server.close({ graceMs: 200 });
    expect(hub.server.close()).toBe(closing);
    await closing;
    expect(await link.closed).toMatchObject({ code: expect.stringMatching(/UNAVAILABLE|CANCELLED/) });
    hub.server.forceClose();
    await hub[Symbol.asyncDispose]();
  });

  it("T1: a channel dials again by itself when the hub is back on its address", async () => {
    const first = await startHub({ syncConfiguration: async () => ({ hubVersion: "first" }) });
    const proxy = dispose(await openTcpProxy(first.port));
    const channel = dispose(await startHub({})).open("control", { address: proxy.address });
    const api = channel.client(AgentOrchestrator);
    expect((await api.syncConfiguration({})).hubVersion).toBe("first");
    proxy.cut("reset");
    await expect
      .poll(() =>
        api.syncConfiguration({}).then(
          (answer) => answer.hubVersion,
          () => "",
        ),
      )
      .toBe("first");
    await first[Symbol.asyncDispose]();
  });
});
