import { create } from "@bufbuild/protobuf";
import {
  calculateJwkThumbprint,
  decodeJwt,
  decodeProtectedHeader,
  type JWTHeaderParameters,
  type JWTPayload,
  SignJWT,
} from "jose";
import { describe, expect, it } from "vitest";
import {
  generateSigningKey,
  type NodeId,
  parseId,
  type SigningKey,
  signTokenProof,
  systemIds,
  type UserId,
} from "@cortex-mesh/protocol";
import { type IssueTokenRequest, IssueTokenRequestSchema } from "@cortex-mesh/protocol/gen";
import { systemScope } from "../../src/access/scope.js";
import { MAX_SPENT_BY_ONE, NONCE_TTL_MS } from "../../src/nodes/nonces.js";
import { createTokens, TOKEN_AUDIENCE, TOKEN_TTL_MS, TOKEN_TYPE } from "../../src/nodes/tokens.js";
import type { NodeRecord } from "../../src/store/records.js";
import { openIdentity, refusalOf } from "./open-identity.js";

function newNode(key: SigningKey): NodeRecord {
  return {
    nodeId: systemIds.next("node"),
    revision: 1,
    ownerId: "alice" as UserId,
    name: "box",
    labels: {},
    publicKey: Buffer.from(key.publicKey).toString("hex"),
    createdAtMs: 0,
    revokedAtMs: undefined,
    epoch: 0,
    bootId: undefined,
    sessionNonce: undefined,
    version: undefined,
    capabilities: undefined,
    maxTasks: 1,
    isDraining: false,
    connectedAtMs: undefined,
    lastSeenAtMs: undefined,
    reconnects: 0,
  };
}

async function setUp() {
  const identity = await openIdentity();
  const { store, authority } = identity;
  const key = generateSigningKey();
  const node = newNode(key);
  await store.transaction((tx) => tx.nodes.insert(node));
  const epochs: number[] = [];
  const tokens = createTokens({ ...identity, onNewEpoch: (_, epoch) => epochs.push(epoch) });

  /** What an honest node sends; `over` bends it after signing. */
  const requestOf = (epoch: bigint, signer = key, over: Partial<IssueTokenRequest> = {}) => {
    const nonce = tokens.challenge(node.nodeId);
    const signature = signTokenProof(signer, { nonce, nodeId: node.nodeId, hubId: authority.hubId, epoch });
    return create(IssueTokenRequestSchema, { nodeId: node.nodeId, nonce, signature, epoch, ...over });
  };
  const nodeNow = async () => (await store.nodes.get(systemScope, node.nodeId))!;
  return { ...identity, key, node, tokens, epochs, requestOf, nodeNow };
}

describe("issuing tokens", () => {
  it("I3: a call without a nonce gets one, also for a node that does not exist", async () => {
    const { tokens, clock } = await setUp();
    const answer = await tokens.issue(create(IssueTokenRequestSchema, { nodeId: systemIds.next("node") }));
    expect(answer.nonce.byteLength).toBeGreaterThan(32);
    expect(answer).toMatchObject({ token: "", hubTimeMs: BigInt(clock.nowMs()) });
  });

  it("I3: a proof gets a token of ten minutes that is bound to key and epoch", async () => {
    const { tokens, requestOf, node, key, authority, clock } = await setUp();
    const answer = await tokens.issue(requestOf(0n));
    expect(answer).toMatchObject({ epoch: 1n, expiresInMs: TOKEN_TTL_MS });
    expect(decodeProtectedHeader(answer.token)).toEqual({
      alg: "EdDSA",
      typ: TOKEN_TYPE,
      kid: authority.tokenKey.keyId,
    });
    const x = Buffer.from(key.publicKey).toString("base64url");
    expect(decodeJwt(answer.token)).toMatchObject({
      iss: authority.hubId,
      aud: TOKEN_AUDIENCE,
      sub: node.nodeId,
      epoch: 1,
      iat: clock.nowMs() / 1000,
      exp: clock.nowMs() / 1000 + 600,
      cnf: { jkt: await calculateJwkThumbprint({ kty: "OKP", crv: "Ed25519", x }) },
    });
    expect(await tokens.verify(answer.token)).toEqual({
      nodeId: node.nodeId,
      epoch: 1,
      expiresAtMs: clock.nowMs() + TOKEN_TTL_MS,
    });
  });

  it("I3: each new connection raises the epoch, also when many come at once", async () => {
    const { tokens, requestOf, nodeNow, epochs } = await setUp();
    const answers = await Promise.all(Array.from({ length: 5 }, () => tokens.issue(requestOf(0n))));
    expect(answers.map((answer) => Number(answer.epoch)).sort()).toEqual([1, 2, 3, 4, 5]);
    expect((await nodeNow()).epoch).toBe(5);
    expect(epochs.sort()).toEqual([1, 2, 3, 4, 5]);
  });

  it("I3: a renewal keeps the epoch, and an older connection cannot renew", async () => {
    const { tokens, requestOf, nodeNow, epochs } = await setUp();
    await tokens.issue(requestOf(0n));
    expect((await tokens.issue(requestOf(1n))).epoch).toBe(1n);
    await tokens.issue(requestOf(0n));
    expect((await refusalOf(tokens.issue(requestOf(1n))))?.code).toBe("SUPERSEDED");
    expect((await refusalOf(tokens.issue(requestOf(3n))))?.code).toBe("SUPERSEDED");
    expect([(await nodeNow()).epoch, epochs]).toEqual([2, [1, 2]]);
  });

  it("I3: an answered nonce is worth nothing, so that a recorded proof cannot raise the epoch", async () => {
    const { tokens, requestOf, nodeNow } = await setUp();
    const request = requestOf(0n);
    const both = await Promise.all([refusalOf(tokens.issue(request)), refusalOf(tokens.issue(request))]);
    expect(both.filter((refusal) => refusal === undefined)).toHaveLength(1);
    expect((await refusalOf(tokens.issue(request)))?.code).toBe("UNAUTHENTICATED");
    expect((await nodeNow()).epoch).toBe(1);
  });

  it("I3: a proof holds for its nonce, node and epoch only, and for one minute", async () => {
    const { tokens, requestOf, clock, nodeNow, store } = await setUp();
    const other = newNode(generateSigningKey());
    await store.transaction((tx) => tx.nodes.insert(other));
    const late = requestOf(0n);
    const bent = [
      requestOf(0n, generateSigningKey()),
      requestOf(0n, undefined, { epoch: 1n }),
      requestOf(0n, undefined, { nodeId: other.nodeId }),
      requestOf(0n, undefined, { nodeId: other.nodeId, nonce: tokens.challenge(other.nodeId) }),
      requestOf(0n, undefined, { nodeId: "node_nonsense", nonce: tokens.challenge("node_nonsense") }),
      requestOf(0n, undefined, { signature: new Uint8Array(64) }),
      requestOf(0n, undefined, { nonce: new Uint8Array(56) }),
    ];
    for (const request of bent) expect((await refusalOf(tokens.issue(request)))?.code).toBe("UNAUTHENTICATED");
    clock.advance(NONCE_TTL_MS + 1);
    expect((await refusalOf(tokens.issue(late)))?.message).toContain("expired");
    expect((await nodeNow()).epoch).toBe(0);
  });

  it("I3: a nonce of an earlier start of the hub is worth nothing", async () => {
    const { tokens, requestOf, store, authority, clock } = await setUp();
    const request = requestOf(0n);
    const restarted = createTokens({ store, authority, clock });
    expect((await refusalOf(restarted.issue(request)))?.code).toBe("UNAUTHENTICATED");
    expect(await refusalOf(tokens.issue(request))).toBeUndefined();
  });

  it("I3: a revoked node is told so, but only when it proves its key", async () => {
    const { tokens, requestOf, store, nodeNow } = await setUp();
    const node = await nodeNow();
    await store.transaction((tx) => tx.nodes.update({ ...node, revision: 2, revokedAtMs: 1 }));
    expect((await refusalOf(tokens.issue(requestOf(0n))))?.code).toBe("NODE_REVOKED");
    expect((await refusalOf(tokens.issue(requestOf(0n, generateSigningKey()))))?.code).toBe("UNAUTHENTICATED");
    expect((await nodeNow()).epoch).toBe(0);
  });

  it("I3: a revoked key that asks without end locks nobody out, neither from connecting nor from staying", async () => {
    const { tokens, requestOf, store, nodeNow } = await setUp();
    const node = await nodeNow();
    await store.transaction((tx) => tx.nodes.update({ ...node, revision: 2, revokedAtMs: 1 }));
    const refusals = new Set<string | undefined>();
    for (let count = 0; count < 2 * MAX_SPENT_BY_ONE; count += 1) {
      refusals.add((await refusalOf(tokens.issue(requestOf(0n))))?.code);
    }
    expect([...refusals]).toEqual(["NODE_REVOKED"]);
  });

  it("I3: a node that connects without end is refused for a while, and may still renew", async () => {
    const { tokens, requestOf } = await setUp();
    for (let count = 0; count < MAX_SPENT_BY_ONE; count += 1) await tokens.issue(requestOf(0n));
    expect((await refusalOf(tokens.issue(requestOf(0n))))?.code).toBe("UNAVAILABLE");
    expect((await tokens.issue(requestOf(BigInt(MAX_SPENT_BY_ONE)))).epoch).toBe(BigInt(MAX_SPENT_BY_ONE));
  });
});

describe("reading tokens", () => {
  async function setUpForgery() {
    const parts = await setUp();
    const { authority, clock } = parts;
    const nodeId: NodeId = parseId("node", parts.node.nodeId);
    const nowSeconds = clock.nowMs() / 1000;
    const claims: JWTPayload = {
      iss: authority.hubId,
      aud: TOKEN_AUDIENCE,
      sub: nodeId,
      jti: "x",
      iat: nowSeconds,
      exp: nowSeconds + 600,
      epoch: 1,
    };
    const header: JWTHeaderParameters = { alg: "EdDSA", typ: TOKEN_TYPE, kid: authority.tokenKey.keyId };
    const forge = (
      over: JWTPayload = {},
      head: Partial<JWTHeaderParameters> = {},
      key: Parameters<SignJWT["sign"]>[0] = authority.tokenKey.privateKeyObject,
    ) => new SignJWT({ ...claims, ...over }).setProtectedHeader({ ...header, ...head }).sign(key);
    return { ...parts, claims, header, forge };
  }

  it("I3: the forger's own token holds when nothing is forged", async () => {
    const { tokens, forge, node } = await setUpForgery();
    expect(await tokens.verify(await forge())).toMatchObject({ nodeId: node.nodeId, epoch: 1 });
  });

  it("I3: a token of another algorithm, type, issuer, audience or key is refused", async () => {
    const { tokens, forge, claims, authority } = await setUpForgery();
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const unsigned = `${part({ alg: "none", typ: TOKEN_TYPE })}.${part(claims)}.`;
    const forged: Record<string, string> = {
      "alg none": unsigned,
      "HS256 with the public key": await forge({}, { alg: "HS256" }, authority.tokenKey.publicKey),
      "HS256 with the public key as PEM": await forge(
        {},
        { alg: "HS256" },
        Buffer.from(authority.tokenKey.keyObject.export({ format: "pem", type: "spki" })),
      ),
      "another type": await forge({}, { typ: "JWT" }),
      "the grant key": await forge({}, {}, authority.grantKey.privateKeyObject),
      "another key": await forge({}, {}, generateSigningKey().privateKeyObject),
      "another issuer": await forge({ iss: systemIds.next("hub") }),
      "another audience": await forge({ aud: "cortex.browser.v1" }),
      "a subject that is no node": await forge({ sub: "alice" }),
      "an epoch that is no number": await forge({ epoch: "1" }),
      "an unknown critical header": unsigned.replace(
        /^[^.]+/,
        part({ alg: "EdDSA", typ: TOKEN_TYPE, crit: ["x"], x: 1 }),
      ),
      empty: "",
    };
    for (const [name, token] of Object.entries(forged)) {
      expect({ name, refusal: await refusalOf(tokens.verify(token)) }).toMatchObject({
        name,
        refusal: { code: "UNAUTHENTICATED" },
      });
    }
  });

  it("I3: a text that is too long is refused before it is parsed", async () => {
    const { tokens } = await setUp();
    expect((await refusalOf(tokens.verify("A".repeat(5000))))?.message).toBe("the token is too long");
  });

  it.each(["sub", "exp", "iat", "jti", "epoch", "iss", "aud"])("I3: a token without %s is refused", async (claim) => {
    const { tokens, forge } = await setUpForgery();
    expect((await refusalOf(tokens.verify(await forge({ [claim]: undefined }))))?.code).toBe("UNAUTHENTICATED");
  });

  it("I3: a token holds until the moment it expires", async () => {
    const { tokens, requestOf, clock } = await setUp();
    const { token } = await tokens.issue(requestOf(0n));
    clock.advance(TOKEN_TTL_MS - 1);
    expect(await refusalOf(tokens.verify(token))).toBeUndefined();
    clock.advance(1);
    expect(await refusalOf(tokens.verify(token))).toEqual({
      code: "UNAUTHENTICATED",
      message: "the token has expired",
    });
  });

  it("I3: any flipped character is refused", async () => {
    const { tokens, requestOf } = await setUp();
    const { token } = await tokens.issue(requestOf(0n));
    for (let at = 0; at < token.length; at += 7) {
      const changed = token.slice(0, at) + (token[at] === "x" ? "y" : "x") + token.slice(at + 1);
      expect((await refusalOf(tokens.verify(changed)))?.code).toBe("UNAUTHENTICATED");
    }
  });
});
