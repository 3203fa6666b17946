import { Socket } from "node:net";
import { Readable } from "node:stream";
import { createSecureContext } from "node:tls";
import { type ChannelCredentials, credentials, Server } from "@grpc/grpc-js";
import { afterEach, describe, expect, it } from "vitest";
import { AgentOrchestrator } from "../../src/gen/index.js";
import {
  configureServer,
  limitReadAhead,
  resetServerStream,
  tunnelConnections,
} from "../../src/grpc/private-fields.js";
import { MAX_HEADER_BYTES, MAX_STREAMS_PER_CONNECTION, WINDOW_BYTES } from "../../src/grpc/transport-limits.js";
import { openRawSession } from "./support/open-raw-session.js";
import { startHub } from "./support/start-hub.js";

const disposables: AsyncDisposable[] = [];

afterEach(async () => {
  for (const disposable of disposables.splice(0).reverse()) await disposable[Symbol.asyncDispose]();
});

function dispose<T extends AsyncDisposable>(disposable: T): T {
  disposables.push(disposable);
  return disposable;
}

describe("private fields of grpc-js and Node", () => {
  it("T5: the fields are where this release keeps them", () => {
    const server = new Server();
    let made = 0;
    configureServer(server, { handshakeTimeout: 1 }, () => {
      made += 1;
    });
    expect(server).toHaveProperty("commonServerOptions.handshakeTimeout", 1);
    expect(made).toBe(0);
    server.forceShutdown();
  });

  it("T5: a field that moved is named at once", () => {
    const options = (hidden: object) => () => configureServer(hidden as Server, {}, () => {});
    expect(options({ createHttp2Server: () => {} })).toThrow("Server.commonServerOptions");
    expect(options({ commonServerOptions: {} })).toThrow("Server.createHttp2Server");
    const tunnel = (hidden: object): ChannelCredentials => {
      tunnelConnections(hidden as ChannelCredentials, "hub.invalid:443", async (socket) => socket);
      return hidden as ChannelCredentials;
    };
    expect(() => tunnel({})).toThrow("ChannelCredentials._createSecureConnector");
    const moved = tunnel({ _createSecureConnector: () => ({}) });
    expect(() => moved._createSecureConnector({ path: "x" }, {})).toThrow("SecureConnector.connect");
    expect(() => resetServerStream({ call: { nextCall: {} } })).toThrow("ServerDuplexStream.call.stream");
    expect(() => limitReadAhead({}, 1)).toThrow("Readable._readableState.highWaterMark");
  });

  it("T1: a client's TLS is with the target, on the connection that the tunnel made", async () => {
    const trust = credentials.createFromSecureContext(createSecureContext());
    expect(trust).toHaveProperty("_createSecureConnector");
    const dialled = new Socket();
    const seen: Socket[] = [];
    tunnelConnections(trust, "hub.invalid:443", async (socket) => {
      seen.push(socket);
      throw new Error("no way through");
    });
    const connector = trust._createSecureConnector({ scheme: "dns", path: "proxy.invalid:3128" }, {});
    await expect(connector.connect(dialled)).rejects.toThrow("no way through");
    expect(seen).toEqual([dialled]);
    expect(connector).toHaveProperty("connectionOptions.host", "hub.invalid");
    expect(connector).toHaveProperty("connectionOptions.servername", "hub.invalid");
  });

  it("T5: a stream of objects reads only as far ahead as it is told", () => {
    const stream = new Readable({ objectMode: true, read: () => {} });
    limitReadAhead(stream, 1);
    expect(stream.readableHighWaterMark).toBe(1);
  });

  it("T5: a peer sees the settings of the server: window, calls and headers", async () => {
    const raw = dispose(openRawSession(dispose(await startHub({}))));
    const seen = await raw.settings((settings) => settings.initialWindowSize !== 65_535);
    expect(seen).toMatchObject({
      initialWindowSize: WINDOW_BYTES.control,
      maxConcurrentStreams: MAX_STREAMS_PER_CONNECTION,
      maxHeaderListSize: MAX_HEADER_BYTES,
    });
  });

  it("T5: a connection for data gets 8 MiB to send, each stream and all of it, others keep 1 MiB", async () => {
    const hub = dispose(await startHub({ taskStream: () => {} }));
    const data = dispose(openRawSession(hub));
    const raised = data.settings((settings) => settings.initialWindowSize === WINDOW_BYTES.data);
    expect(await data.request({ "user-agent": "cortex-data/9" })).toBe(200);
    await raised;
    await expect.poll(() => data.session.state.remoteWindowSize).toBeGreaterThanOrEqual(WINDOW_BYTES.data);
    const control = dispose(openRawSession(hub));
    expect(await control.request({ "user-agent": "cortex-control/9" })).toBe(200);
    expect(control.session.remoteSettings.initialWindowSize).toBe(WINDOW_BYTES.control);
    await expect.poll(() => control.session.state.remoteWindowSize).toBe(WINDOW_BYTES.control);
  });

  it("T5: a call can be reset on the server although its peer reads nothing", async () => {
    const hub = dispose(
      await startHub({
        async taskStream(link) {
          while (link.bufferedBytes < 1024 * 1024) {
            link.send(new Uint8Array(256 * 1024));
            await new Promise((resolve) => setImmediate(resolve));
          }
          // An end that nobody takes is followed by a reset after the linger time.
          link.close();
        },
      }),
    );
    const client = hub.open("control").client(AgentOrchestrator).taskStream();
    expect(await client.closed).toMatchObject({ code: "CANCELLED" });
  });
});
