import { once } from "node:events";
import { Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { afterEach, describe, expect, it } from "vitest";
import type { CortexError } from "../../src/errors.js";
import { AgentOrchestrator } from "../../src/gen/index.js";
import { openChannel } from "../../src/grpc/channel.js";
import { encodeFrameBatch } from "../../src/grpc/frame-batch.js";
import { fromServiceError } from "../../src/grpc/status.js";
import { MAX_CONTROL_MESSAGE_BYTES, MAX_DATA_MESSAGE_BYTES } from "../../src/limits.js";
import type { Link } from "../../src/link.js";
import { openRawStream } from "./support/open-raw-stream.js";
import { HUB_NAME, hubCertificates, startHub, type TestHub } from "./support/start-hub.js";

const disposables: AsyncDisposable[] = [];
afterEach(async () => {
  for (const disposable of disposables.splice(0).reverse()) await disposable[Symbol.asyncDispose]();
});
function dispose<T extends AsyncDisposable>(disposable: T): T {
  disposables.push(disposable);
  return disposable;
}

/** A hub that echoes frames, with why its links ended. */
async function startEcho(): Promise<{ readonly hub: TestHub; readonly ends: (CortexError | undefined)[] }> {
  const ends: (CortexError | undefined)[] = [];
  const echo = (link: Link): void => {
    void link.closed.then((reason) => ends.push(reason));
    link.onFrames((frames) => {
      for (const frame of frames) link.send(Uint8Array.from(frame));
    });
  };
  const hub = dispose(await startHub({ taskStream: echo, reportHealth: echo, logStream: echo }));
  return { hub, ends };
}

async function assertServes(hub: TestHub): Promise<void> {
  const link = hub.open("control").client(AgentOrchestrator).taskStream();
  const heard = new Promise<number>((resolve) => {
    link.onFrames((frames) => resolve(frames.length));
  });
  link.send(Uint8Array.of(1));
  expect(await heard).toBe(1);
  link.close();
}

/** A tag, and a length of three bytes. */
const FRAME_HEAD_BYTES = 4;
const batchOf = (sizeBytes: number): Buffer => encodeFrameBatch([new Uint8Array(sizeBytes)]);

describe("a peer that sends what no link sends", () => {
  it.each([
    ["TaskStream", MAX_CONTROL_MESSAGE_BYTES],
    ["ReportHealth", MAX_CONTROL_MESSAGE_BYTES],
    ["LogStream", MAX_DATA_MESSAGE_BYTES],
  ])("T5: a message on %s is taken up to its limit, and one byte more ends the stream", async (method, limit) => {
    const { hub } = await startEcho();
    const within = dispose(openRawStream(hub, method));
    const echoed = once(within.stream, "data");
    within.stream.write(batchOf(limit - FRAME_HEAD_BYTES));
    expect(((await echoed) as [Buffer])[0]).toHaveLength(limit);
    const over = dispose(openRawStream(hub, method));
    // Each frame alone may travel; the message may not.
    over.stream.write(Buffer.concat([batchOf(limit / 2), batchOf(limit / 2 - 2 * FRAME_HEAD_BYTES + 1)]));
    expect(fromServiceError(await over.ended).code).toBe("TOO_LARGE");
    await assertServes(hub);
  });

  it.each(["TaskStream", "ReportHealth", "LogStream"])(
    "T5: bytes on %s that are no message end the stream with BAD_REQUEST, and the hub serves on",
    async (method) => {
      const { hub, ends } = await startEcho();
      const raw = dispose(openRawStream(hub, method));
      raw.stream.write(Buffer.from("GET / HTTP/1.1\r\n\r\n"));
      expect(fromServiceError(await raw.ended).code).toBe("BAD_REQUEST");
      await expect.poll(() => ends.map((reason) => reason?.code)).toEqual(["BAD_REQUEST"]);
      await assertServes(hub);
    },
  );
});

describe("a hub that sends what no link sends", () => {
  it.each([
    ["taskStream", MAX_CONTROL_MESSAGE_BYTES, "control"],
    ["logStream", MAX_DATA_MESSAGE_BYTES, "data"],
  ] as const)("T5: a message on %s over its limit ends the stream on the node's side", async (method, limit, role) => {
    const hub = dispose(await startRawHub(batchOf(limit - FRAME_HEAD_BYTES + 1)));
    const channel = openChannel({ address: hub.address, tls: hub.tls, role });
    const link = channel.client(AgentOrchestrator)[method]();
    expect((await link.closed)?.code).toBe("TOO_LARGE");
    channel.close();
  });

  it("T5: bytes that are no message end the stream on the node's side", async () => {
    const hub = dispose(await startRawHub(Buffer.from("HTTP/1.1 200 OK\r\n\r\n")));
    const channel = openChannel({ address: hub.address, tls: hub.tls, role: "control" });
    const link = channel.client(AgentOrchestrator).taskStream();
    link.onFrames(() => {});
    expect((await link.closed)?.code).toBe("BAD_REQUEST");
    channel.close();
  });
});

/** A hub of grpc-js alone, which answers each stream with one message. */
async function startRawHub(message: Buffer) {
  const { chainPem, keyPem, caPem } = await hubCertificates();
  const server = new Server({ "grpc.max_send_message_length": -1 });
  const answer = (call: ServerDuplexStream<Buffer, Buffer>): void => {
    call.on("error", () => {});
    call.write(message);
  };
  const asIs = (bytes: Buffer): Buffer => bytes;
  const methods = ["taskStream", "logStream"].map((name) => [
    name,
    {
      path: `/cortex.agent.v1.AgentOrchestrator/${name[0]?.toUpperCase()}${name.slice(1)}`,
      requestStream: true,
      responseStream: true,
      requestSerialize: asIs,
      requestDeserialize: asIs,
      responseSerialize: asIs,
      responseDeserialize: asIs,
    },
  ]);
  server.addService(Object.fromEntries(methods), { taskStream: answer, logStream: answer });
  const pair = { cert_chain: Buffer.from(chainPem), private_key: Buffer.from(keyPem) };
  const trust = ServerCredentials.createSsl(null, [pair]);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", trust, (error, bound) => (error === null ? resolve(bound) : reject(error))),
  );
  return {
    address: `127.0.0.1:${port}`,
    tls: { caPem, serverName: HUB_NAME },
    [Symbol.asyncDispose]: async () => server.forceShutdown(),
  };
}
