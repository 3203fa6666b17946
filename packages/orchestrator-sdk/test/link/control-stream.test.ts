import { beforeEach, describe, expect, it } from "vitest";
import {
  createKeyring,
  type NodeId,
  openTaskGrant,
  PAYLOAD_TYPES,
  type SessionId,
  type TaskId,
} from "@cortex-mesh/protocol";
import { HeldState } from "@cortex-mesh/protocol/gen";
import { isStuck } from "../../src/link/report-health.js";
import { FIRST_BOUNCE_PAUSE_MS } from "../../src/tasks/bounce-pause.js";
import { alice, type Mesh, openMesh } from "../support/open-mesh.js";
import { turns, until } from "../support/until.js";

let mesh: Mesh;
let nodeId: NodeId;
let sessionId: SessionId;
beforeEach(async () => {
  mesh = await openMesh();
  nodeId = await mesh.addNode();
  sessionId = await mesh.addSession([nodeId]);
});

const leasedTask = async (): Promise<TaskId> => {
  const taskId = await mesh.submit(sessionId);
  await mesh.reaches(taskId, "leased");
  return taskId;
};

describe("frames of the control stream", () => {
  it("T2: a repeat is dropped, and the frames of the hub are numbered without gaps", async () => {
    const node = await mesh.connect(nodeId);
    node.say({ case: "ping", value: { id: 1n } });
    node.say({ case: "ping", value: { id: 1n } }, 2n);
    node.say({ case: "ping", value: { id: 2n } });
    await until(() => node.bodies("pong").length === 2);
    await turns();
    expect(node.bodies("pong").map((pong) => pong?.id)).toEqual([1n, 2n]);
    expect(node.received.map(({ seq }) => seq)).toEqual(node.received.map((_frame, index) => BigInt(index + 1)));
  });

  it("T2: a hole closes the connection", async () => {
    const node = await mesh.connect(nodeId);
    node.say({ case: "ping", value: { id: 9n } }, 5n);
    expect(await until(() => node.tasksClosed)).toMatchObject({ code: "STREAM_GAP" });
    expect(node.bodies("pong")).toEqual([]);
  });

  it("T2: a frame that is too large for a message leaves no hole in the numbers", async () => {
    const node = await mesh.connect(nodeId);
    const env = Object.fromEntries(Array.from({ length: 12 }, (_, index) => [`V${index}`, "x".repeat(100_000)]));
    const large = await mesh.submit(sessionId, { env });
    expect(await mesh.reaches(large, "rejected")).toMatchObject({ error: { code: "TOO_LARGE" } });
    const next = await leasedTask();
    await until(() => node.grants().some(({ task }) => task?.taskId === next));
    expect(node.received.map(({ seq }) => seq)).toEqual(node.received.map((_frame, index) => BigInt(index + 1)));
  });

  it("T2: more statements than may wait are all handled", async () => {
    const node = await mesh.connect(nodeId);
    const taskId = await leasedTask();
    for (let i = 0; i < 600; i++) node.say({ case: "progress", value: { taskId, attempt: 1, stalled: i % 2 === 0 } });
    node.ended({ taskId, attempt: 1 });
    await mesh.reaches(taskId, "succeeded");
  });
});

describe("heartbeats", () => {
  it("E7: are answered with the lease, and show the node's figures", async () => {
    const node = await mesh.connect(nodeId);
    node.heartbeat();
    await until(() => node.leases.length === 1);
    expect(node.leases[0]).toMatchObject({
      leaseMs: 20_000,
      controlReceivedSeq: 1n,
      controlSentSeq: BigInt(node.received.length),
    });
    expect((await mesh.services.nodes.get(alice, nodeId)).usage).toMatchObject({ runningTasks: 0 });
  });

  it("T2: a lost last frame is found at the second heartbeat without progress", async () => {
    const node = await mesh.connect(nodeId);
    node.heartbeat({ sent: 2 });
    await until(() => node.leases.length === 1);
    expect(node.tasksClosed).toBeUndefined();
    node.heartbeat({ sent: 2 });
    expect(await until(() => node.tasksClosed)).toMatchObject({ code: "STREAM_GAP" });
  });

  it.each([
    [undefined, { sent: 9, received: 1 }, false],
    [{ sent: 9, received: 9 }, { sent: 10, received: 9 }, false],
    [{ sent: 9, received: 8 }, { sent: 9, received: 9 }, false],
    [{ sent: 9, received: 8 }, { sent: 12, received: 8 }, true],
  ])("T2: a stream is stuck only when what was missing still is (%#)", (previous, now, expected) => {
    expect(isStuck(previous, now)).toBe(expected);
  });

  it("T6: a node that falls silent is offline after 12 s, and its attempts are disconnected", async () => {
    const node = await mesh.connect(nodeId);
    const taskId = await leasedTask();
    node.heartbeat();
    await mesh.clock.advance(11_999);
    expect(node.tasksClosed).toBeUndefined();
    await mesh.clock.advance(1);
    expect(await until(() => node.tasksClosed)).toMatchObject({ code: "TIMED_OUT" });
    await until(async () => (await mesh.task(taskId)).disconnected);
    expect((await mesh.services.nodes.get(alice, nodeId)).status).toBe("offline");
  });

  it("T6: a health stream that ends is the end of the connection", async () => {
    const node = await mesh.connect(nodeId);
    node.health.close();
    await until(() => node.tasksClosed !== undefined);
    await until(async () => (await mesh.services.nodes.get(alice, nodeId)).status === "offline");
  });
});

describe("a node that comes back", () => {
  it.each([
    ["runs", HeldState.RUNNING, "running"],
    ["has stored", HeldState.STORED, "leased"],
  ] as const)("T8: goes on with what it %s; its attempt is not sent again", async (_what, held, state) => {
    const first = await mesh.connect(nodeId);
    const taskId = await leasedTask();
    first.tasks.close();
    await until(async () => (await mesh.task(taskId)).disconnected);
    const again = await mesh.dial(nodeId);
    await again.hello([{ taskId, attempt: 1, state: held }]);
    expect(await mesh.reaches(taskId, state)).toMatchObject({ epoch: again.epoch, disconnected: false, attempt: 1 });
    await turns();
    expect(again.grants()).toEqual([]);
    again.ended({ taskId, attempt: 1 });
    await mesh.reaches(taskId, "succeeded");
  });

  it.each([
    ["does not name", []],
    ["durably never started", [HeldState.NEVER_STARTED]],
  ])("E5: a leased attempt that it %s is given again, as the next attempt", async (_what, states) => {
    const first = await mesh.connect(nodeId);
    const taskId = await leasedTask();
    first.tasks.close();
    const again = await mesh.dial(nodeId);
    await again.hello(states.map((state) => ({ taskId, attempt: 1, state })));
    await until(() => again.grants().length === 1);
    expect(again.grants()[0]).toMatchObject({ attempt: 2, task: { taskId } });
    expect(await mesh.task(taskId)).toMatchObject({ state: "leased", attempt: 2, effect: "once" });
  });

  it("E5: a once task that ran and is not named ends indeterminate", async () => {
    const first = await mesh.connect(nodeId);
    const taskId = await leasedTask();
    first.started({ taskId, attempt: 1 });
    await mesh.reaches(taskId, "running");
    const again = await mesh.connect(nodeId);
    expect(await mesh.reaches(taskId, "indeterminate")).toMatchObject({ cause: "node_lost" });
    expect(again.grants()).toEqual([]);
  });

  it("I4: is told which of its attempts nobody wants", async () => {
    await mesh.connect(nodeId);
    const wanted = await leasedTask();
    const ended = await leasedTask();
    const node = await mesh.connect(nodeId);
    await until(() => node.grants().length === 2);
    node.ended({ taskId: ended, attempt: 2 });
    await mesh.reaches(ended, "succeeded");
    const again = await mesh.dial(nodeId);
    const unknown = "task_01J00000000000000000000009";
    await again.hello([
      { taskId: wanted, attempt: 2, state: HeldState.STORED },
      { taskId: ended, attempt: 2, state: HeldState.STORED },
      { taskId: unknown, attempt: 1, state: HeldState.RUNNING },
      { taskId: wanted, attempt: 1, state: HeldState.RUNNING },
    ]);
    const unwanted = again.bodies("welcome")[0]?.unwanted.map(({ taskId, attempt }) => `${taskId} ${attempt}`);
    expect(unwanted).toEqual([`${ended} 2`, `${unknown} 1`, `${wanted} 1`]);
    await turns();
    expect(again.grants()).toEqual([]);
  });

  it("T8: keeps more attempts than one page of the store holds", async () => {
    const node = await mesh.connect(nodeId, { request: { maxTasks: 2_000 } });
    const ids = await Promise.all(Array.from({ length: 1_200 }, () => mesh.submit(sessionId)));
    await until(() => node.grants().length === ids.length);
    const again = await mesh.dial(nodeId, { request: { maxTasks: 2_000 } });
    await again.hello(ids.map((taskId) => ({ taskId, attempt: 1, state: HeldState.RUNNING })));
    expect(again.bodies("welcome")[0]?.unwanted).toEqual([]);
    again.tasks.close();
    await until(async () =>
      (await Promise.all(ids.map((taskId) => mesh.task(taskId)))).every(({ disconnected }) => disconnected),
    );
  });
});

describe("what is sent to a node", () => {
  it("I4: each grant is signed, and names node, connection, epoch and attempt", async () => {
    const node = await mesh.connect(nodeId);
    const taskId = await leasedTask();
    await until(() => node.grants().length === 1);
    const signed = node.bodies("grant").find((grant) => grant.payloadType === PAYLOAD_TYPES.taskGrant);
    const opened = openTaskGrant({
      grant: signed!,
      keys: createKeyring(node.registration.grantKeys.map(({ publicKey }) => publicKey)),
      expect: {
        hubId: mesh.authority.hubId,
        nodeId,
        sessionNonce: new Uint8Array(16).fill(7),
        epoch: BigInt(node.epoch),
        nowMs: mesh.clock.nowMs(),
        policySha256: node.registration.policy!.sha256,
      },
    });
    expect(opened).toMatchObject({ taskId, attempt: 1, ownerId: "alice", task: { workspacePath: sessionId } });
  });

  it("E3: a cancel is sent once a connection, behind the grant, and again after a reconnect", async () => {
    const node = await mesh.connect(nodeId);
    const taskId = await leasedTask();
    await mesh.services.tasks.cancel(alice, taskId);
    await mesh.services.tasks.cancel(alice, taskId);
    node.say({ case: "progress", value: { taskId, attempt: 1, stalled: true } });
    node.started({ taskId, attempt: 1 });
    await mesh.reaches(taskId, "running");
    await until(() => node.cancels().length === 1);
    await turns();
    expect(node.bodies("grant").map((grant) => grant.payloadType)).toEqual([
      PAYLOAD_TYPES.taskGrant,
      PAYLOAD_TYPES.cancelGrant,
    ]);
    expect(node.cancels()).toMatchObject([{ taskId, attempt: 1 }]);
    const again = await mesh.dial(nodeId);
    await again.hello([{ taskId, attempt: 1, state: HeldState.RUNNING }]);
    await until(() => again.cancels().length === 1);
    again.ended({ taskId, attempt: 1 }, { outcome: 3 });
    await mesh.reaches(taskId, "cancelled");
  });

  it("E3: a waiting task is cancelled without a node", async () => {
    const taskId = await mesh.submit(sessionId);
    await mesh.services.tasks.cancel(alice, taskId);
    expect(await mesh.task(taskId)).toMatchObject({ state: "cancelled", attempt: 0 });
    const node = await mesh.connect(nodeId);
    await turns();
    expect(node.grants()).toEqual([]);
  });

  it("H5: no dispatch is forgotten, however the changes of tasks fall", async () => {
    const node = await mesh.connect(nodeId, { request: { maxTasks: 4_000 } });
    const ids: TaskId[] = [];
    for (let i = 0; i < 300; i++) {
      ids.push(await mesh.submit(sessionId));
      for (let pause = 0; pause < i % 37; pause++) await Promise.resolve();
    }
    await until(() => node.grants().length === ids.length, "every grant");
    expect(new Set(node.grants().map(({ task }) => task?.taskId))).toEqual(new Set(ids));
  });

  it("H4: a hub that cannot read what to send gives the node a new start, not silence", async () => {
    const node = await mesh.connect(nodeId);
    const { request } = mesh.store.tasks;
    const taskId = await mesh.submit(sessionId);
    await mesh.reaches(taskId, "leased");
    node.declined({ taskId, attempt: 1 }, false);
    await mesh.reaches(taskId, "queued");
    // Placement has read what the task needs; the next to read is the sender.
    await turns();
    const failing: typeof request = () => Promise.reject(new Error("the database is away"));
    Object.assign(mesh.store.tasks, { request: failing });
    await mesh.clock.advance(FIRST_BOUNCE_PAUSE_MS);
    await until(() => node.tasksClosed);
    Object.assign(mesh.store.tasks, { request });
    expect(node.tasksClosed).toMatchObject({ code: "UNAVAILABLE" });
    const again = await mesh.connect(nodeId);
    await until(() => again.grants().some(({ task }) => task?.taskId === taskId));
  });

  it("T7: a drain from the hub is asked for, and nothing new is leased", async () => {
    const node = await mesh.connect(nodeId);
    await mesh.services.nodes.drain(alice, nodeId);
    await until(() => node.bodies("drain").length === 1);
    expect((await mesh.services.nodes.get(alice, nodeId)).status).toBe("draining");
    const taskId = await mesh.submit(sessionId);
    await turns();
    expect((await mesh.task(taskId)).state).toBe("queued");
  });

  it("I3: a revoked node is closed with the reason", async () => {
    const node = await mesh.connect(nodeId);
    await mesh.services.nodes.revoke(alice, nodeId);
    expect(await until(() => node.tasksClosed)).toMatchObject({ code: "NODE_REVOKED" });
  });
});
