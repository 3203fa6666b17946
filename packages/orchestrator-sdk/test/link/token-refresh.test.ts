import { beforeEach, describe, expect, it } from "vitest";
import {
  CortexError,
  generateSigningKey,
  type NodeId,
  type SessionId,
  type SigningKey,
  signTokenProof,
} from "@cortex-mesh/protocol";
import { LONGEST_LOOK_MS, REFRESH_GRACE_MS } from "../../src/link/token-life.js";
import { TOKEN_TTL_MS } from "../../src/nodes/tokens.js";
import { alice, type Mesh, openMesh } from "../support/open-mesh.js";
import { connectScriptedNode, type ScriptedNode } from "../support/scripted-node.js";
import { until } from "../support/until.js";

const BEAT_MS = 5_000;

let mesh: Mesh;
let nodeId: NodeId;
let sessionId: SessionId;
let key: SigningKey;
let node: ScriptedNode;
beforeEach(async () => {
  mesh = await openMesh();
  key = generateSigningKey();
  nodeId = await mesh.addNode({ publicKey: Buffer.from(key.publicKey).toString("hex") });
  sessionId = await mesh.addSession([nodeId]);
  node = await mesh.connect(nodeId);
});

/** Time passes at a node that is well. */
async function pass(forMs: number): Promise<void> {
  for (let leftMs = forMs; leftMs > 0 && node.tasksClosed === undefined; leftMs -= BEAT_MS) {
    node.heartbeat();
    await mesh.clock.advance(Math.min(BEAT_MS, leftMs));
  }
}

const nonces = (): Uint8Array[] => node.bodies("tokenChallenge").map(({ nonce }) => nonce);

async function challenged(): Promise<Uint8Array> {
  const before = nonces().length;
  while (nonces().length === before && node.tasksClosed === undefined) await pass(BEAT_MS);
  const nonce = nonces()[before];
  if (nonce === undefined) throw new Error("the hub did not ask");
  return nonce;
}

interface Bend {
  readonly signer?: SigningKey;
  readonly over?: Uint8Array;
  readonly epoch?: bigint;
  readonly node?: string;
}

function prove(
  nonce: Uint8Array,
  { signer = key, over = nonce, epoch = BigInt(node.epoch), node: name = nodeId }: Bend = {},
): void {
  const { hubId } = mesh.authority;
  const signature = signTokenProof(signer, { nonce: over, nodeId: name, hubId, epoch });
  node.say({ case: "tokenProof", value: { nonce, signature } });
}

const closed = (): Promise<unknown> => until(() => node.tasksClosed, "the end of the connection");

describe("a connection that stays", () => {
  it("I3: is asked between 50 and 70 % of its token's life, and the proof gets it the next token", async () => {
    const startMs = mesh.clock.monotonicMs();
    const nonce = await challenged();
    const share = (mesh.clock.monotonicMs() - startMs) / TOKEN_TTL_MS;
    expect(share).toBeGreaterThanOrEqual(0.5);
    expect(share).toBeLessThan(0.72);
    prove(nonce);
    const issued = await until(() => node.bodies("tokenIssued")[0]);
    expect(issued.expiresInMs).toBe(TOKEN_TTL_MS);
    expect(await mesh.parts.tokens.verify(issued.token)).toMatchObject({ nodeId, epoch: node.epoch });
  });

  it("I3: lives on for hours, with a new token each time and the same epoch", async () => {
    for (let count = 1; count <= 12; count += 1) {
      prove(await challenged());
      await until(() => node.bodies("tokenIssued").length === count);
    }
    expect(mesh.clock.monotonicMs()).toBeGreaterThan(60 * 60_000);
    expect(node.tasksClosed).toBeUndefined();
    expect((await mesh.services.nodes.get(alice, nodeId)).record.epoch).toBe(node.epoch);
    expect(new Set(node.bodies("tokenIssued").map(({ token }) => token)).size).toBe(12);
  });

  it("I3: that never answers ends a minute after its token; its task is disconnected, goes on, and the node comes back", async () => {
    const startMs = mesh.clock.monotonicMs();
    const taskId = await mesh.submit(sessionId);
    await mesh.reaches(taskId, "leased");
    node.started({ taskId, attempt: 1 });
    await mesh.reaches(taskId, "running");
    await pass(TOKEN_TTL_MS + REFRESH_GRACE_MS - 1 - (mesh.clock.monotonicMs() - startMs));
    expect(node.tasksClosed).toBeUndefined();
    await pass(BEAT_MS);
    expect(await closed()).toMatchObject({ code: "UNAUTHENTICATED" });
    expect((await node.health.closed)?.code).toBe("UNAUTHENTICATED");
    await until(async () => (await mesh.task(taskId)).disconnected);
    expect((await mesh.task(taskId)).state).toBe("running");
    expect(node.cancels()).toEqual([]);
    const again = await mesh.dial(nodeId);
    await again.hello([{ taskId, attempt: 1, state: 2 }]);
    await until(async () => !(await mesh.task(taskId)).disconnected);
    again.ended({ taskId, attempt: 1 });
    await mesh.reaches(taskId, "succeeded");
  });

  it("I3: is asked again when an answer got lost, and an answer to the question before is no fault", async () => {
    const first = await challenged();
    const second = await challenged();
    expect(second).not.toEqual(first);
    prove(first);
    prove(second);
    await until(() => node.bodies("tokenIssued").length === 1);
    await pass(60_000);
    expect(node.tasksClosed).toBeUndefined();
  });

  it("I3: whose proof cannot be checked for a while is asked again and lives on", async () => {
    const first = await challenged();
    const { get } = mesh.store.nodes;
    const away = new CortexError("UNAVAILABLE", "the database is away");
    Object.assign(mesh.store.nodes, { get: () => Promise.reject(away) });
    prove(first);
    await until(() => mesh.errors.includes(away));
    Object.assign(mesh.store.nodes, { get });
    prove(await challenged());
    await until(() => node.bodies("tokenIssued").length === 1);
    expect(node.tasksClosed).toBeUndefined();
  });

  it("I3: whose proof takes the database long has its later answers ignored, and lives on", async () => {
    const first = await challenged();
    const { get } = mesh.store.nodes;
    let goOn = (): void => {};
    const slow = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    Object.assign(mesh.store.nodes, { get: (...args: Parameters<typeof get>) => slow.then(() => get(...args)) });
    prove(first);
    const second = await challenged();
    Object.assign(mesh.store.nodes, { get });
    goOn();
    await until(() => node.bodies("tokenIssued").length === 1);
    prove(second);
    await pass(60_000);
    expect(node.tasksClosed).toBeUndefined();
    expect(node.bodies("tokenIssued")).toHaveLength(1);
  });

  it("I3: may answer every question of a while at once", async () => {
    const asked = [await challenged(), await challenged(), await challenged()];
    for (const nonce of asked) prove(nonce);
    await until(() => node.bodies("tokenIssued").length === 1);
    expect(node.tasksClosed).toBeUndefined();
  });

  it("I3: is asked at once when the wall clock is set forward, and goes on with a token that other streams take", async () => {
    mesh.clock.setNowMs(mesh.clock.nowMs() + 24 * 60 * 60_000);
    await pass(LONGEST_LOOK_MS);
    const nonce = nonces()[0];
    if (nonce === undefined) throw new Error("the hub did not ask");
    expect(node.tasksClosed).toBeUndefined();
    prove(nonce);
    const { token } = await until(() => node.bodies("tokenIssued")[0]);
    expect(await mesh.parts.tokens.verify(token)).toMatchObject({ nodeId });
    await pass(2 * REFRESH_GRACE_MS);
    expect(node.tasksClosed).toBeUndefined();
  });

  it("I3: is asked in time for the token that it registered with, however little of its life is left", async () => {
    const epoch = await mesh.raiseEpoch(nodeId);
    const leftMs = 5 * 60_000;
    node = await connectScriptedNode({
      gateway: mesh.parts.gateway,
      nodeId,
      epoch,
      expiresAtMs: mesh.clock.nowMs() + leftMs,
    });
    await node.hello();
    const startMs = mesh.clock.monotonicMs();
    await challenged();
    expect(mesh.clock.monotonicMs() - startMs).toBeLessThanOrEqual(2 * 60_000 + LONGEST_LOOK_MS);
  });

  it("I3: is not kept alive by a wall clock that is set back", async () => {
    mesh.clock.setNowMs(mesh.clock.nowMs() - 24 * 60 * 60_000);
    await pass(TOKEN_TTL_MS + REFRESH_GRACE_MS + BEAT_MS);
    expect(await closed()).toMatchObject({ code: "UNAUTHENTICATED" });
  });
});

describe("a proof that does not hold ends the connection", () => {
  it.each<[string, () => Bend]>([
    ["of another key", () => ({ signer: generateSigningKey() })],
    ["over another nonce", () => ({ over: new Uint8Array(56).fill(9) })],
    ["of an older epoch", () => ({ epoch: BigInt(node.epoch - 1) })],
    ["that starts a connection", () => ({ epoch: 0n })],
    ["of another node", () => ({ node: "node_01J00000000000000000000009" })],
  ])("I3: one %s", async (_what, bend) => {
    prove(await challenged(), bend());
    expect(await closed()).toMatchObject({ code: "UNAUTHENTICATED" });
    expect(node.bodies("tokenIssued")).toEqual([]);
  });

  it("I3: one that was given before", async () => {
    const nonce = await challenged();
    prove(nonce);
    await until(() => node.bodies("tokenIssued").length === 1);
    prove(nonce);
    expect(await closed()).toMatchObject({ code: "UNAUTHENTICATED" });
    expect(node.bodies("tokenIssued")).toHaveLength(1);
  });

  it("I3: one over a nonce that the node asked for by itself", async () => {
    await challenged();
    prove(mesh.parts.tokens.challenge(nodeId));
    expect(await closed()).toMatchObject({ code: "UNAUTHENTICATED" });
  });

  it("I3: one that nobody asked for", async () => {
    prove(mesh.parts.tokens.challenge(nodeId));
    expect(await closed()).toMatchObject({ code: "UNAUTHENTICATED" });
  });

  it("I3: one of a node that has a newer connection by then, and the node hears so", async () => {
    const nonce = await challenged();
    await mesh.raiseEpoch(nodeId);
    prove(nonce);
    await until(() => node.bodies("superseded").length === 1);
    expect(node.bodies("tokenIssued")).toEqual([]);
  });
});
