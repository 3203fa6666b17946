import { create } from "@bufbuild/protobuf";
import { beforeEach, describe, expect, it } from "vitest";
import { CortexError, generateSigningKey, type NodeId, type SessionId, signTokenProof } from "@cortex-mesh/protocol";
import { IssueTokenRequestSchema } from "@cortex-mesh/protocol/gen";
import { createMemoryLinkPair } from "@cortex-mesh/testing";
import { MAX_DATA_STREAMS } from "../../src/link/connection-streams.js";
import { FORGET_AFTER_MS } from "../../src/link/register.js";
import {
  MAX_CAPABILITIES_BYTES,
  MAX_FACT_CHARS,
  MAX_LABEL_CHARS,
  MAX_LABELS,
} from "../../src/link/registration-facts.js";
import { alice, type Mesh, openMesh } from "../support/open-mesh.js";
import { registrationOf } from "../support/scripted-node.js";
import { turns, until } from "../support/until.js";

let mesh: Mesh;
let nodeId: NodeId;
let sessionId: SessionId;
beforeEach(async () => {
  mesh = await openMesh();
  nodeId = await mesh.addNode();
  sessionId = await mesh.addSession([nodeId]);
});

const status = async (): Promise<string> => (await mesh.services.nodes.get(alice, nodeId)).status;
const feedKinds = async (): Promise<string[]> =>
  (await mesh.store.feed.read(alice.userId, { afterSeq: 0, limit: 1000 }))
    .map(({ kind }) => kind)
    .filter((kind) => kind.startsWith("node."));

const labelsOf = (count: number): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, at) => [`label ${at}`, "x"]));

describe("a registration", () => {
  it("T2: answers with version, epoch, policy, keys and timers", async () => {
    const epoch = await mesh.raiseEpoch(nodeId);
    const answer = await mesh.parts.gateway.register(
      { nodeId, epoch, expiresAtMs: Number.MAX_SAFE_INTEGER },
      registrationOf(nodeId),
    );
    expect(answer).toMatchObject({
      protocolVersion: 1,
      epoch: BigInt(epoch),
      heartbeatIntervalMs: 5_000,
      leaseMs: 20_000,
    });
    expect(answer.policy?.sha256).toHaveLength(32);
    expect(answer.grantKeys).toHaveLength(1);
    expect(answer.forgetBeforeMs).toBe(BigInt(mesh.clock.nowMs() - FORGET_AFTER_MS));
    expect((await mesh.services.nodes.get(alice, nodeId)).record).toMatchObject({ bootId: "boot", maxTasks: 4 });
  });

  it.each([
    ["a nonce of the wrong size", { sessionNonce: new Uint8Array(15) }, "BAD_REQUEST"],
    ["no common version", { protocolMin: 99, protocolMax: 100 }, "VERSION_UNSUPPORTED"],
    ["the name of another node", { nodeId: "node_01J00000000000000000000009" }, "UNAUTHENTICATED"],
  ])("T2: is refused with %s", async (_what, changes, code) => {
    const epoch = await mesh.raiseEpoch(nodeId);
    const registered = mesh.parts.gateway.register(
      { nodeId, epoch, expiresAtMs: Number.MAX_SAFE_INTEGER },
      registrationOf(nodeId, changes),
    );
    await expect(registered).rejects.toMatchObject({ code });
    expect(mesh.parts.connections.get(nodeId)).toBeUndefined();
  });

  it.each([
    ["a boot id that is too long", { bootId: "b".repeat(MAX_FACT_CHARS + 1) }],
    ["a version that is too long", { version: "1".repeat(MAX_FACT_CHARS + 1) }],
    ["a version that garbles a terminal", { version: "1\u001b[2J" }],
    ["a crowd of labels", { labels: labelsOf(MAX_LABELS + 1) }],
    ["a label without a name", { labels: { "": "x" } }],
    ["a label whose name is too long", { labels: { ["n".repeat(MAX_LABEL_CHARS + 1)]: "x" } }],
    ["a label whose value is too long", { labels: { n: "x".repeat(MAX_LABEL_CHARS + 1) } }],
    ["capabilities without bounds", { capabilities: { os: "x".repeat(MAX_CAPABILITIES_BYTES) } }],
  ])("T5: is refused with %s, and leaves nothing behind", async (_what, changes) => {
    const before = (await mesh.services.nodes.get(alice, nodeId)).record;
    const epoch = await mesh.raiseEpoch(nodeId);
    const credentials = { nodeId, epoch, expiresAtMs: Number.MAX_SAFE_INTEGER };
    await expect(mesh.parts.gateway.register(credentials, registrationOf(nodeId, changes))).rejects.toMatchObject({
      code: "BAD_REQUEST",
    });
    const { record } = await mesh.services.nodes.get(alice, nodeId);
    expect(record).toEqual({ ...before, revision: before.revision + 1, epoch });
  });

  it("I1: brings the labels that the node has now, beside those that its owner gave it", async () => {
    const labelled = await mesh.addNode({ labels: { zone: "a" } });
    const labels = async (): Promise<unknown> => (await mesh.services.nodes.get(alice, labelled)).record.labels;
    await mesh.dial(labelled, { request: { labels: { ...labelsOf(MAX_LABELS - 1), zone: "forged" } } });
    expect(await labels()).toEqual({ ...labelsOf(MAX_LABELS - 1), zone: "a" });
    await mesh.dial(labelled, { request: { labels: { rack: "7" } } });
    expect(await labels()).toEqual({ rack: "7", zone: "a" });
  });

  it("I3: is refused for a revoked node and for an epoch that is over", async () => {
    const epoch = await mesh.raiseEpoch(nodeId);
    await mesh.raiseEpoch(nodeId);
    await expect(
      mesh.parts.gateway.register({ nodeId, epoch, expiresAtMs: Number.MAX_SAFE_INTEGER }, registrationOf(nodeId)),
    ).rejects.toMatchObject({
      code: "SUPERSEDED",
    });
    await mesh.services.nodes.revoke(alice, nodeId);
    const newest = epoch + 2;
    await expect(
      mesh.parts.gateway.register(
        { nodeId, epoch: newest, expiresAtMs: Number.MAX_SAFE_INTEGER },
        registrationOf(nodeId),
      ),
    ).rejects.toMatchObject({
      code: "NODE_REVOKED",
    });
  });

  it("I3: happens once with a token: a second one takes nothing over, and the connection that is there goes on", async () => {
    const node = await mesh.connect(nodeId);
    const stolen = { nodeId, epoch: node.epoch, expiresAtMs: Number.MAX_SAFE_INTEGER };
    const again = mesh.parts.gateway.register(
      stolen,
      registrationOf(nodeId, { sessionNonce: new Uint8Array(16).fill(9) }),
    );
    await expect(again).rejects.toMatchObject({ code: "SUPERSEDED" });
    await turns();
    expect(node.tasksClosed).toBeUndefined();
    expect(node.bodies("superseded")).toEqual([]);
    const taskId = await mesh.submit(sessionId);
    await mesh.reaches(taskId, "leased");
    await until(() => node.grants().length === 1);
  });

  it("I3: happens once with a token, also when the connection is over", async () => {
    const node = await mesh.connect(nodeId);
    node.tasks.close();
    await until(() => mesh.parts.connections.get(nodeId) === undefined);
    const stolen = { nodeId, epoch: node.epoch, expiresAtMs: Number.MAX_SAFE_INTEGER };
    await expect(mesh.parts.gateway.register(stolen, registrationOf(nodeId))).rejects.toMatchObject({
      code: "SUPERSEDED",
    });
    expect(mesh.parts.connections.get(nodeId)).toBeUndefined();
  });

  it("I3: of no epoch that the hub holds a connection of already", async () => {
    await mesh.connect(nodeId);
    const held = mesh.parts.connections.get(nodeId);
    expect(held === undefined ? undefined : () => mesh.parts.connections.add({ ...held })).toThrow(/already/);
  });

  it("T2: a stream without a registration is closed", async () => {
    const node = await mesh.connect(nodeId);
    await mesh.raiseEpoch(nodeId);
    const [mine, theirs] = createMemoryLinkPair();
    mesh.parts.gateway.openTasks({ nodeId, epoch: node.epoch + 1 }, theirs);
    expect(await mine.closed).toMatchObject({ code: "SUPERSEDED" });
    expect(node.tasksClosed).toBeUndefined();
  });
});

describe("the beginning of a connection", () => {
  it("T6: a node is online after its hello and not before", async () => {
    const node = await mesh.dial(nodeId);
    await turns();
    expect(await status()).toBe("offline");
    await node.hello();
    await until(async () => (await status()) === "online");
    expect(await feedKinds()).toEqual(["node.online"]);
  });

  it("T2: a first frame that is no hello, and a second hello, close the connection", async () => {
    const rude = await mesh.dial(nodeId);
    rude.say({ case: "ping", value: { id: 1n } });
    expect(await until(() => rude.tasksClosed)).toMatchObject({ code: "BAD_REQUEST" });
    const twice = await mesh.connect(nodeId);
    twice.say({ case: "hello", value: {} });
    expect(await until(() => twice.tasksClosed)).toMatchObject({ code: "BAD_REQUEST" });
  });

  it("T6: a node that says no hello in time is closed, also one that never opens its streams", async () => {
    const silent = await mesh.dial(nodeId);
    await mesh.clock.advance(5_000);
    expect(await until(() => silent.tasksClosed)).toMatchObject({ code: "TIMED_OUT" });
    const epoch = await mesh.raiseEpoch(nodeId);
    await mesh.parts.gateway.register({ nodeId, epoch, expiresAtMs: Number.MAX_SAFE_INTEGER }, registrationOf(nodeId));
    expect(mesh.parts.connections.get(nodeId)).toBeDefined();
    await mesh.clock.advance(5_000);
    await until(() => mesh.parts.connections.get(nodeId) === undefined);
  });

  it("T2: a second health stream, and a crowd of log streams, are refused and harm nothing", async () => {
    const node = await mesh.connect(nodeId);
    const [second, theirs] = createMemoryLinkPair();
    expect(mesh.parts.gateway.openHealth(node, theirs)).toBe(false);
    expect(await second.closed).toMatchObject({ code: "BAD_REQUEST" });
    const logs = Array.from({ length: MAX_DATA_STREAMS }, () => node.openLogs());
    expect(await node.openLogs().closed).toMatchObject({ code: "QUOTA_EXCEEDED" });
    logs[0]?.close();
    await turns();
    const [next, hubEnd] = createMemoryLinkPair();
    expect(mesh.parts.gateway.openLogs(node, hubEnd)).toBe(true);
    next.close();
    expect(node.tasksClosed).toBeUndefined();
    expect(await status()).toBe("online");
  });

  it("T2: a second control stream is refused and harms nothing", async () => {
    const node = await mesh.connect(nodeId);
    const [mine, theirs] = createMemoryLinkPair();
    mesh.parts.gateway.openTasks(node, theirs);
    expect(await mine.closed).toMatchObject({ code: "BAD_REQUEST" });
    await mesh.clock.advance(4_000);
    node.heartbeat();
    await mesh.clock.advance(4_000);
    expect(node.tasksClosed).toBeUndefined();
    expect(await status()).toBe("online");
  });

  it("T6: a stream that closes at any moment of the hello leaves no ghost and no attempt that looks connected", async () => {
    const first = await mesh.connect(nodeId);
    const taskId = await mesh.submit(sessionId);
    await mesh.reaches(taskId, "leased");
    first.started({ taskId, attempt: 1 });
    await mesh.reaches(taskId, "running");
    for (let moment = 0; moment < 60; moment++) {
      const node = await mesh.dial(nodeId);
      node.say({ case: "hello", value: { held: [{ taskId, attempt: 1, state: 2 }] } });
      for (let i = 0; i < moment; i++) await Promise.resolve();
      node.tasks.close(new CortexError("UNAVAILABLE", "cut"));
      await turns(4);
      expect({ moment, ...(await mesh.task(taskId)), status: await status() }).toMatchObject({
        moment,
        state: "running",
        disconnected: true,
        status: "offline",
      });
      expect((await feedKinds()).at(-1)).toBe("node.offline");
    }
  });
});

/** Holds the next list of tasks back, as a slow database would. */
function holdNextList(): { readonly reached: Promise<void>; open(): void } {
  const { tasks } = mesh.store;
  const list = tasks.list.bind(tasks);
  let open = (): void => undefined;
  let reach = (): void => undefined;
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const reached = new Promise<void>((resolve) => {
    reach = resolve;
  });
  const held: typeof list = async (...asked) => {
    Object.assign(tasks, { list });
    const page = await list(...asked);
    reach();
    await gate;
    return page;
  };
  Object.assign(tasks, { list: held });
  return { reached, open };
}

describe("a slow database", () => {
  const runTask = async () => {
    const node = await mesh.connect(nodeId);
    const taskId = await mesh.submit(sessionId);
    await mesh.reaches(taskId, "leased");
    node.started({ taskId, attempt: 1 });
    await mesh.reaches(taskId, "running");
    return { node, taskId };
  };

  it("T6: a connection that ended while its hello was handled adopts nothing and is not online", async () => {
    const { taskId } = await runTask();
    const node = await mesh.dial(nodeId);
    const slow = holdNextList();
    node.say({ case: "hello", value: { held: [{ taskId, attempt: 1, state: 2 }] } });
    await slow.reached;
    node.tasks.close(new CortexError("UNAVAILABLE", "cut"));
    await until(async () => (await feedKinds()).at(-1) === "node.offline");
    slow.open();
    await turns();
    expect(await mesh.task(taskId)).toMatchObject({ disconnected: true });
    expect((await feedKinds()).at(-1)).toBe("node.offline");
  });

  it("H4: a hello whose epoch is over by then adopts nothing", async () => {
    const { taskId } = await runTask();
    const node = await mesh.dial(nodeId);
    const slow = holdNextList();
    node.say({ case: "hello", value: { held: [{ taskId, attempt: 1, state: 2 }] } });
    await slow.reached;
    await mesh.raiseEpoch(nodeId);
    slow.open();
    await until(() => node.tasksClosed !== undefined);
    expect((await mesh.task(taskId)).epoch).toBeLessThan(node.epoch);
  });

  it("T6: the end of a connection that is recorded late does not hide the next one", async () => {
    const { node, taskId } = await runTask();
    const slow = holdNextList();
    node.tasks.close();
    await slow.reached;
    const again = await mesh.dial(nodeId);
    await again.hello([{ taskId, attempt: 1, state: 2 }]);
    await until(async () => (await feedKinds()).filter((kind) => kind === "node.online").length === 2);
    slow.open();
    await turns();
    expect((await feedKinds()).at(-1)).toBe("node.online");
    expect(await mesh.task(taskId)).toMatchObject({ epoch: again.epoch, disconnected: false });
  });
});

describe("two connections of one node", () => {
  it("T2: the newer one supersedes the older one, which hears why and says nothing more that counts", async () => {
    const old = await mesh.connect(nodeId);
    const taskId = await mesh.submit(sessionId);
    await mesh.reaches(taskId, "leased");
    const again = await mesh.dial(nodeId);
    await again.hello([{ taskId, attempt: 1, state: 1 }]);
    await until(() => old.tasksClosed !== undefined);
    expect(old.bodies("superseded")).toMatchObject([{ epoch: BigInt(old.epoch) }]);
    old.started({ taskId, attempt: 1 });
    await turns();
    expect(await mesh.task(taskId)).toMatchObject({ state: "leased", epoch: again.epoch, disconnected: false });
    expect(await status()).toBe("online");
    expect((await feedKinds()).at(-1)).toBe("node.online");
  });

  it("T2: a token for a new connection ends the one before it", async () => {
    const key = generateSigningKey();
    const own = await mesh.addNode({ publicKey: Buffer.from(key.publicKey).toString("hex") });
    const node = await mesh.connect(own);
    const { tokens } = mesh.parts;
    const { nonce } = await tokens.issue(create(IssueTokenRequestSchema, { nodeId: own }));
    const signature = signTokenProof(key, { nonce, nodeId: own, hubId: mesh.authority.hubId, epoch: 0n });
    await tokens.issue(create(IssueTokenRequestSchema, { nodeId: own, nonce, signature, epoch: 0n }));
    await until(() => node.tasksClosed !== undefined);
    expect(node.bodies("superseded")).toHaveLength(1);
  });

  it("T6: a successor that dies before its hello leaves the attempts disconnected, not stuck", async () => {
    const old = await mesh.connect(nodeId);
    const taskId = await mesh.submit(sessionId);
    await mesh.reaches(taskId, "leased");
    old.started({ taskId, attempt: 1 });
    await mesh.reaches(taskId, "running");
    const epoch = await mesh.raiseEpoch(nodeId);
    await mesh.parts.gateway.register({ nodeId, epoch, expiresAtMs: Number.MAX_SAFE_INTEGER }, registrationOf(nodeId));
    await mesh.clock.advance(5_000);
    await until(async () => (await mesh.task(taskId)).disconnected);
    expect((await feedKinds()).at(-1)).toBe("node.offline");
  });

  it("H4: a hello that is handled late changes nothing for the newer connection", async () => {
    const first = await mesh.connect(nodeId);
    const taskId = await mesh.submit(sessionId);
    await mesh.reaches(taskId, "leased");
    first.started({ taskId, attempt: 1 });
    await mesh.reaches(taskId, "running");
    const slow = await mesh.dial(nodeId);
    slow.say({ case: "hello", value: { held: [{ taskId, attempt: 1, state: 2 }] } });
    const quick = await mesh.dial(nodeId);
    await quick.hello([{ taskId, attempt: 1, state: 2 }]);
    await turns();
    expect(await mesh.task(taskId)).toMatchObject({ epoch: quick.epoch, disconnected: false });
    quick.ended({ taskId, attempt: 1 });
    await mesh.reaches(taskId, "succeeded");
  });
});

describe("the end of a hub", () => {
  it("T4: says goodbye with a time to come back to each node, and takes no new one", async () => {
    const node = await mesh.connect(nodeId);
    const others = await Promise.all(Array.from({ length: 4 }, async () => mesh.connect(await mesh.addNode())));
    await mesh.parts.close();
    await until(() => [node, ...others].every(({ tasksClosed }) => tasksClosed !== undefined));
    const waits = [node, ...others].map((each) => each.bodies("goodbye")[0]?.reconnectAfterMs);
    expect([...new Set(waits)].sort()).toEqual([0, 2, 4, 6, 8]);
    expect((await feedKinds()).filter((kind) => kind === "node.offline")).toHaveLength(5);
    const registered = mesh.parts.gateway.register(
      { nodeId, epoch: node.epoch, expiresAtMs: Number.MAX_SAFE_INTEGER },
      registrationOf(nodeId),
    );
    await expect(registered).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });
});
