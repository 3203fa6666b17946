import { create, toBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { MAX_OUTPUT_CHUNK_BYTES } from "@cortex-mesh/protocol";
import { LogFrameSchema, LogKind } from "@cortex-mesh/protocol/gen";
import { assertServes, enrolPeer, type GrpcPeer, type PeerConnection } from "../support/grpc-peer.js";
import { type GrpcHub, startGrpcHub } from "../support/start-grpc-hub.js";
import { until, untilStill } from "../support/until.js";

/** Answers to these are more than two windows and what the hub holds for a node. */
const PINGS = 200_000;
const JUNK = new Uint8Array(64).fill(0xff);

let hub: GrpcHub;
let peer: GrpcPeer;
let steady: PeerConnection;
let steadyNode: GrpcPeer;
let beating: NodeJS.Timeout;
beforeEach(async () => {
  hub = await startGrpcHub();
  peer = await enrolPeer(hub);
  steadyNode = await enrolPeer(hub);
  steady = await steadyNode.connect();
  beating = setInterval(() => steady.heartbeat(), 1_000);
});
/** Whatever one node does, another one that was there before gets its task on the connection that it had. */
afterEach(async () => {
  const before = steady.grants().length;
  await hub.dispatchTo(steadyNode.nodeId);
  await until(() => steady.grants().length > before, "a task for the node that was there before");
  clearInterval(beating);
});

const hello = { case: "hello" as const, value: { held: [], bootId: "boot" } };

function logFrame(epoch: bigint, data: Uint8Array, kind: LogKind = LogKind.STDOUT): Uint8Array {
  const log = { name: { case: "task", value: { taskId: "task_01J00000000000000000000009", attempt: 1 } } } as const;
  return toBinary(LogFrameSchema, create(LogFrameSchema, { log, seq: 1n, epoch, kind, data }));
}

type Attack = (connection: PeerConnection) => Promise<unknown>;
const endOfTasks = async ({ tasks }: PeerConnection): Promise<unknown> => (await tasks.closed)?.code;

/** What a node does after it registered, before its hello. */
const beforeHello: readonly (readonly [string, string, Attack])[] = [
  [
    "a statement in place of the hello",
    "BAD_REQUEST",
    (connection) => {
      connection.say({ case: "ping", value: { id: 1n } });
      return endOfTasks(connection);
    },
  ],
  [
    "bytes in place of the hello",
    "BAD_REQUEST",
    (connection) => {
      connection.tasks.send(JUNK);
      return endOfTasks(connection);
    },
  ],
  [
    "a hello with a hole before it",
    "STREAM_GAP",
    (connection) => {
      connection.say(hello, { seq: 2n });
      return endOfTasks(connection);
    },
  ],
  [
    "a hello with an attempt that is none",
    "BAD_REQUEST",
    (connection) => {
      connection.say({ case: "hello", value: { held: [{ taskId: "../../etc", attempt: 1, state: 2 }] } });
      return endOfTasks(connection);
    },
  ],
  [
    "two hellos",
    "BAD_REQUEST",
    (connection) => {
      connection.say(hello);
      connection.say(hello);
      return endOfTasks(connection);
    },
  ],
];

/** What a node does once it was welcomed. */
const afterHello: readonly (readonly [string, string, Attack])[] = [
  [
    "bytes that are no frame",
    "BAD_REQUEST",
    (connection) => {
      connection.tasks.send(JUNK);
      return endOfTasks(connection);
    },
  ],
  [
    "a frame without a number",
    "BAD_REQUEST",
    (connection) => {
      connection.say({ case: "ping", value: { id: 1n } }, { seq: 0n });
      return endOfTasks(connection);
    },
  ],
  [
    "a number that no one can count to",
    "BAD_REQUEST",
    (connection) => {
      connection.say({ case: "ping", value: { id: 1n } }, { seq: 2n ** 64n - 1n });
      return endOfTasks(connection);
    },
  ],
  [
    "a result without an outcome",
    "BAD_REQUEST",
    (connection) => {
      connection.say({ case: "response", value: { taskId: "task_01J00000000000000000000009", attempt: 1 } });
      return endOfTasks(connection);
    },
  ],
  [
    "a proof that nobody asked for",
    "UNAUTHENTICATED",
    (connection) => {
      connection.say({ case: "tokenProof", value: { nonce: new Uint8Array(56), signature: new Uint8Array(64) } });
      return endOfTasks(connection);
    },
  ],
  [
    "bytes that are no heartbeat",
    "BAD_REQUEST",
    async (connection) => {
      connection.health.send(JUNK);
      return (await connection.health.closed)?.code;
    },
  ],
  [
    "bytes that are no log record",
    "BAD_REQUEST",
    async (connection) => {
      const logs = connection.openLogs();
      logs.send(JUNK);
      return (await logs.closed)?.code;
    },
  ],
  [
    "a log record over its limit",
    "TOO_LARGE",
    async (connection) => {
      const logs = connection.openLogs();
      logs.send(logFrame(connection.epoch, new Uint8Array(MAX_OUTPUT_CHUNK_BYTES + 1)));
      return (await logs.closed)?.code;
    },
  ],
  [
    "a log record of no kind",
    "BAD_REQUEST",
    async (connection) => {
      const logs = connection.openLogs();
      logs.send(logFrame(connection.epoch, new Uint8Array(1), LogKind.UNSPECIFIED));
      return (await logs.closed)?.code;
    },
  ],
];

describe("a node that lies", () => {
  it("T2: before its hello loses its connection with the reason, each time, and may come back", async () => {
    const codes: unknown[] = [];
    for (const [, , attack] of beforeHello) codes.push(await attack(await peer.dial()));
    expect(codes).toEqual(beforeHello.map(([, code]) => code));
    await peer.connect();
    await assertServes(hub);
  });

  it("T2: after its welcome loses the stream that it lied on with the reason, and may come back", async () => {
    const codes: unknown[] = [];
    for (const [, , attack] of afterHello) codes.push(await attack(await peer.connect()));
    expect(codes).toEqual(afterHello.map(([, code]) => code));
    await peer.connect();
    await assertServes(hub);
  });

  it("T2: about its epoch is not listened to, on any stream", async () => {
    const connection = await peer.connect();
    for (const epoch of [connection.epoch - 1n, connection.epoch + 1n]) {
      connection.heartbeat(epoch);
      connection.say({ case: "ping", value: { id: 7n } }, { epoch, seq: 2n });
    }
    connection.say({ case: "ping", value: { id: 8n } }, { seq: 2n });
    await until(() => connection.received.some(({ body }) => body.case === "pong"));
    const pongs = connection.received.flatMap(({ body }) => (body.case === "pong" ? [body.value.id] : []));
    expect(pongs).toEqual([8n]);
  });

  it("T6: that says no hello, or opens no stream at all, is let go after 5 s", async () => {
    const silent = await peer.dial();
    const other = await enrolPeer(hub);
    await other.register((await other.token()).token);
    const startMs = performance.now();
    expect((await silent.tasks.closed)?.code).toBe("TIMED_OUT");
    expect(performance.now() - startMs).toBeLessThan(8_000);
    await peer.connect();
    await other.connect();
  });

  it("T5: that does not read what it asks for is not read either, until it does; nothing of it is lost", async () => {
    const connection = await peer.connect();
    const alive = setInterval(() => connection.heartbeat(), 1_000);
    onTestFinished(() => clearInterval(alive));
    let goOn = (): void => {};
    const waiting = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    let pongs = 0;
    connection.tasks.onFrames(async (frames) => {
      pongs += frames.length;
      await waiting;
    });
    for (let index = 0; index < PINGS; index += 1) connection.say({ case: "ping", value: { id: 2n ** 64n - 1n } });
    // The hub takes some, then no more: what is left stays with the node.
    const held = await untilStill(() => connection.tasks.bufferedBytes);
    expect(held).toBeGreaterThan(512 * 1024);
    await hub.dispatchTo(steadyNode.nodeId);
    await until(() => steady.grants().length === 1, "a task for the node that was there before");
    goOn();
    await until(() => pongs >= PINGS, "every answer");
    expect(connection.tasks.bufferedBytes).toBe(0);
  });
});
