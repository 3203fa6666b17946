import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { afterEach, describe, expect, it } from "vitest";
import { CortexError } from "../../src/errors.js";
import { AgentOrchestrator, HubTaskFrameSchema } from "../../src/gen/index.js";
import { LINK_LIMITS } from "../../src/grpc/transport-limits.js";
import type { Link } from "../../src/link.js";
import { openTcpProxy, type TcpProxy } from "./support/open-tcp-proxy.js";
import { startHub } from "./support/start-hub.js";

const MIB = 1024 * 1024;
const disposables: AsyncDisposable[] = [];

afterEach(async () => {
  for (const disposable of disposables.splice(0).reverse()) await disposable[Symbol.asyncDispose]();
});

function dispose<T extends AsyncDisposable>(disposable: T): T {
  disposables.push(disposable);
  return disposable;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Collected {
  readonly frames: Uint8Array[];
  /** Frames of each message. */
  readonly messages: number[];
  until(count: number): Promise<void>;
}

/** Keeps what a link receives. */
function collect(link: Link): Collected {
  const frames: Uint8Array[] = [];
  const messages: number[] = [];
  let check = (): void => {};
  link.onFrames((batch) => {
    frames.push(...batch.map((frame) => frame.slice()));
    messages.push(batch.length);
    check();
  });
  const until = (count: number): Promise<void> =>
    new Promise((resolve) => {
      check = () => {
        if (frames.length >= count) resolve();
      };
      check();
    });
  return { frames, messages, until };
}

interface Pair {
  readonly client: Link;
  readonly server: Link;
  readonly proxy: TcpProxy;
  readonly openAnother: (signal: AbortSignal) => Link;
}

/** Both ends of one stream, through a proxy. */
async function startPair(method: "taskStream" | "logStream" = "taskStream"): Promise<Pair> {
  let accept = (_link: Link): void => {};
  const accepted = new Promise<Link>((resolve) => {
    accept = resolve;
  });
  const hub = dispose(
    await startHub({
      taskStream(link) {
        accept(link);
      },
      logStream(link) {
        accept(link);
      },
    }),
  );
  const proxy = dispose(await openTcpProxy(hub.port));
  const api = hub
    .open(method === "taskStream" ? "control" : "data", { address: proxy.address })
    .client(AgentOrchestrator);
  const client = api[method]();
  return { client, server: await accepted, proxy, openAnother: (signal) => api.taskStream({ signal }) };
}

describe("grpc link: frames", () => {
  it("T3: frames arrive whole and in order both ways, with 64-bit numbers intact", async () => {
    const { client, server } = await startPair();
    server.onFrames((frames) => {
      for (const frame of frames) server.send(frame.slice());
    });
    const echoed = collect(client);
    const sent = Array.from({ length: 500 }, (_, index) =>
      toBinary(
        HubTaskFrameSchema,
        create(HubTaskFrameSchema, { seq: 2n ** 64n - 1n - BigInt(index), epoch: 2n ** 53n + 1n }),
      ),
    );
    for (const [index, frame] of sent.entries()) {
      client.send(frame);
      if (index % 7 === 0) await turn();
    }
    await echoed.until(sent.length);
    expect(echoed.frames).toEqual(sent);
    expect(fromBinary(HubTaskFrameSchema, echoed.frames[3] as Uint8Array).seq).toBe(2n ** 64n - 4n);
  });

  it("T3: the frames of one turn travel as one message, and a full batch leaves before the turn ends", async () => {
    const { client, server } = await startPair();
    const received = collect(server);
    for (let index = 0; index < 200; index += 1) client.send(new Uint8Array(100));
    await received.until(200);
    expect(received.messages).toEqual([200]);
    const perMessage = Math.floor(LINK_LIMITS.control.flushBytes / 102);
    for (let index = 0; index < perMessage + 1; index += 1) client.send(new Uint8Array(100));
    await received.until(200 + perMessage + 1);
    expect(received.messages).toEqual([200, perMessage, 1]);
  });

  it("T3: frames that came before the listener are kept for it", async () => {
    const { client, server } = await startPair();
    client.send(Uint8Array.of(1));
    client.send(Uint8Array.of(2));
    server.send(Uint8Array.of(9));
    await collect(client).until(1);
    const late = collect(server);
    await late.until(2);
    expect(late.frames).toEqual([Uint8Array.of(1), Uint8Array.of(2)]);
  });

  it("T5: a frame over the message limit is refused before it is sent, and the link lives on", async () => {
    const { client, server } = await startPair();
    const received = collect(server);
    const largest = LINK_LIMITS.control.maxMessageBytes - 4;
    expect(() => client.send(new Uint8Array(largest + 1))).toThrow(expect.objectContaining({ code: "TOO_LARGE" }));
    client.send(new Uint8Array(largest));
    await received.until(1);
    expect(received.frames[0]?.byteLength).toBe(largest);
  });
});

describe("grpc link: back-pressure", () => {
  it("T5: a slow reader slows a sender that waits for drained, and memory stays bounded", async () => {
    const { client, server } = await startPair("logStream");
    const sizeBytes = 64 * 1024;
    let receivedBytes = 0;
    server.onFrames(async (frames) => {
      for (const frame of frames) receivedBytes += frame.byteLength;
      await turn();
    });
    const before = process.memoryUsage().arrayBuffers;
    let mostBuffered = 0;
    let mostMemory = 0;
    for (let index = 0; index < 1_000; index += 1) {
      client.send(new Uint8Array(sizeBytes));
      mostBuffered = Math.max(mostBuffered, client.bufferedBytes);
      mostMemory = Math.max(mostMemory, process.memoryUsage().arrayBuffers - before);
      await client.drained();
    }
    client.close();
    expect(await client.closed).toBeUndefined();
    expect(receivedBytes).toBe(1_000 * sizeBytes);
    expect(mostBuffered).toBeLessThan(LINK_LIMITS.data.flushBytes + 2 * sizeBytes);
    expect(mostMemory).toBeLessThan(64 * MIB);
  });

  it.each([
    ["server", "is busy"],
    ["server", "has no listener"],
    ["client", "is busy"],
    ["client", "has no listener"],
  ])("T5: a %s that %s is given up at the cap, and the sender is not left waiting", async (readerSide, why) => {
    const { client, server } = await startPair();
    const [reader, sender] = readerSide === "server" ? [server, client] : [client, server];
    if (why === "is busy") reader.onFrames(() => new Promise(() => {}));
    let isOver = false;
    const outcome = sender.closed.finally(() => {
      isOver = true;
    });
    let sentBytes = 0;
    while (!isOver && sentBytes < 64 * MIB) {
      sender.send(new Uint8Array(64 * 1024));
      sentBytes += 64 * 1024;
      await turn();
    }
    expect(sentBytes).toBeLessThan(LINK_LIMITS.control.maxBufferedBytes + 4 * MIB);
    expect(await outcome).toMatchObject({ code: "UNAVAILABLE", message: expect.stringContaining("does not read") });
    expect(sender.bufferedBytes).toBe(0);
    await sender.drained();
  });

  it("T5: one batch is with the listener at a time", async () => {
    const { client, server } = await startPair();
    let busy = 0;
    let most = 0;
    let count = 0;
    const done = new Promise<void>((resolve) => {
      server.onFrames(async (frames) => {
        busy += 1;
        most = Math.max(most, busy);
        await turn();
        busy -= 1;
        count += frames.length;
        if (count === 50) resolve();
      });
    });
    for (let index = 0; index < 50; index += 1) {
      client.send(Uint8Array.of(index));
      await turn();
    }
    await done;
    expect(most).toBe(1);
  });
});

describe("grpc link: loss", () => {
  it.each(["reset", "fin"] as const)(
    "T6: a connection that ends with a %s closes both links as lost and wakes who waits",
    async (how) => {
      const { client, server, proxy } = await startPair("logStream");
      server.onFrames(() => new Promise(() => {}));
      // The windows fill first: only then does a sender wait.
      for (let sent = 0; sent < 20 * MIB && client.bufferedBytes < 8 * MIB; sent += MIB) {
        client.send(new Uint8Array(MIB));
        await turn();
      }
      expect(client.bufferedBytes).toBeGreaterThan(LINK_LIMITS.data.flushBytes);
      const drained = client.drained();
      proxy.cut(how);
      expect(await client.closed).toMatchObject({ code: "UNAVAILABLE" });
      expect(await server.closed).toMatchObject({ code: "UNAVAILABLE" });
      await drained;
      expect(client.bufferedBytes).toBe(0);
    },
  );

  it.each(["reset", "fin"] as const)("T6: on an idle link a %s is never taken for an orderly end", async (how) => {
    const { client, server, proxy } = await startPair();
    collect(server);
    collect(client);
    server.send(Uint8Array.of(1));
    await collect(client).until(1);
    proxy.cut(how);
    expect(await server.closed).toMatchObject({ code: "UNAVAILABLE" });
    expect(await client.closed).toMatchObject({ code: "UNAVAILABLE" });
  });

  it("T7: a link whose peer takes no end is over after its linger time", { timeout: 20_000 }, async () => {
    const { client, proxy } = await startPair();
    proxy.freeze();
    client.close();
    expect(await client.closed).toMatchObject({ code: "TIMED_OUT" });
  });
});

describe("grpc link: ends", () => {
  it.each(["client", "server"] as const)(
    "T7: a close by the %s sends what is queued and ends both sides without a reason",
    async (closer) => {
      const { client, server } = await startPair();
      const [from, to] = closer === "client" ? [client, server] : [server, client];
      const received = collect(to);
      for (let index = 0; index < 5_000; index += 1) from.send(new Uint8Array(100).fill(index));
      from.close();
      from.close();
      from.send(Uint8Array.of(1));
      expect(await Promise.all([from.closed, to.closed])).toEqual([undefined, undefined]);
      expect(received.frames).toHaveLength(5_000);
    },
  );

  it("T7: an orderly end waits for a slow listener to take every frame", async () => {
    const { client, server } = await startPair();
    let count = 0;
    server.onFrames(async (frames) => {
      await turn();
      count += frames.length;
    });
    for (let index = 0; index < 100; index += 1) {
      client.send(new Uint8Array(20_000));
      await client.drained();
    }
    client.close();
    expect(await server.closed).toBeUndefined();
    expect(count).toBe(100);
  });

  it("T2: a reason of the server reaches the client with its code, message and details", async () => {
    const { client, server } = await startPair();
    collect(client);
    const reason = new CortexError("SUPERSEDED", "a newer connection of this node", { details: { epoch: 7 } });
    server.close(reason);
    expect(await server.closed).toBe(reason);
    const seen = await client.closed;
    expect([seen?.code, seen?.message, seen?.details]).toEqual(["SUPERSEDED", reason.message, { epoch: 7 }]);
  });

  it("T6: a reason of the client ends the server's link as lost", async () => {
    const { client, server } = await startPair();
    const reason = new CortexError("STREAM_GAP", "frame 4 is missing");
    client.close(reason);
    expect(await client.closed).toBe(reason);
    expect(await server.closed).toMatchObject({ code: "UNAVAILABLE" });
  });

  it.each(["sync", "async"])(
    "T2: a listener that throws (%s) closes the link, and what it threw stays on its side",
    async (kind) => {
      const { client, server } = await startPair();
      server.onFrames(() => {
        if (kind === "async") return Promise.reject(new Error("secret path"));
        throw new Error("secret path");
      });
      client.send(Uint8Array.of(1));
      expect(await server.closed).toMatchObject({ code: "INTERNAL", message: "secret path" });
      expect(await client.closed).toMatchObject({ code: "INTERNAL", message: "internal error" });
    },
  );

  it("T7: an aborted signal closes the link as cancelled, also one that fired before", async () => {
    const { openAnother } = await startPair();
    const controller = new AbortController();
    const link = openAnother(controller.signal);
    controller.abort();
    expect(await link.closed).toMatchObject({ code: "CANCELLED" });
    expect(await openAnother(AbortSignal.abort()).closed).toMatchObject({ code: "CANCELLED" });
  });
});
