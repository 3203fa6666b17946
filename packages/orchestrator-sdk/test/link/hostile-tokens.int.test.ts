import { createHmac } from "node:crypto";
import { decodeJwt, type JWTHeaderParameters, type JWTPayload, SignJWT } from "jose";
import { beforeEach, describe, expect, it } from "vitest";
import { generateSigningKey, type SigningKey, signTokenProof } from "@cortex-mesh/protocol";
import { AgentOrchestrator, Enrollment } from "@cortex-mesh/protocol/gen";
import { TOKEN_TYPE } from "../../src/nodes/tokens.js";
import { assertServes, bearer, codeOf, enrolPeer, type GrpcPeer } from "../support/grpc-peer.js";
import { type GrpcHub, startGrpcHub } from "../support/start-grpc-hub.js";

let hub: GrpcHub;
let peer: GrpcPeer;
let honest: string;
beforeEach(async () => {
  hub = await startGrpcHub();
  peer = await enrolPeer(hub);
  honest = (await peer.token()).token;
});

const textOf = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** An honest token with one thing bent, signed by `signer`. */
function forge(
  { header = {}, claims = {} }: { readonly header?: Partial<JWTHeaderParameters>; readonly claims?: JWTPayload },
  signer: SigningKey = hub.authority.tokenKey,
): Promise<string> {
  const kid = hub.authority.tokenKey.keyId;
  return new SignJWT({ ...decodeJwt(honest), ...claims })
    .setProtectedHeader({ alg: "EdDSA", typ: TOKEN_TYPE, kid, ...header })
    .sign(signer.privateKeyObject);
}

/** A token that is signed with the hub's public key as a shared secret. */
function confuse(secret: Uint8Array | string): string {
  const signed = `${textOf({ alg: "HS256", typ: TOKEN_TYPE, kid: hub.authority.tokenKey.keyId })}.${textOf(decodeJwt(honest))}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

const unsigned = (alg: string): string => `${textOf({ alg, typ: TOKEN_TYPE })}.${textOf(decodeJwt(honest))}.`;
const jwkOf = ({ publicKey }: SigningKey) => ({
  kty: "OKP",
  crv: "Ed25519",
  x: Buffer.from(publicKey).toString("base64url"),
});
const spki = (format: "pem" | "der"): Uint8Array | string =>
  hub.authority.tokenKey.keyObject.export({ type: "spki", format } as never);

const forgeries: readonly (readonly [string, () => string | Promise<string>])[] = [
  ["no algorithm", () => unsigned("none")],
  ["no algorithm, in capitals", () => unsigned("NONE")],
  ["the public key as a shared secret, PEM", () => confuse(spki("pem"))],
  ["the public key as a shared secret, DER", () => confuse(spki("der"))],
  ["the public key as a shared secret, raw", () => confuse(hub.authority.tokenKey.publicKey)],
  ["the type of another token", () => forge({ header: { typ: "JWT" } })],
  ["another audience", () => forge({ claims: { aud: "cortex.http.v1" } })],
  ["another issuer", () => forge({ claims: { iss: "hub_01JD0000000000000000000000" } })],
  ["the name of another key", () => forge({ header: { kid: "0123456789abcdef" } })],
  ["a key that signs grants", () => forge({}, hub.authority.grantKey)],
  ["a key of its own in the header", () => bringKey({ jwk: jwkOf })],
  ["a key of its own at an address", () => bringKey({ jku: () => "https://example.com/keys" })],
  ["a header that the hub never writes", () => forge({ header: { x5u: "https://example.com/cert" } })],
  ["an extension that has to be understood", () => forge({ header: { b64: true, crit: ["b64"] } })],
  ["a time that is over", () => forge({ claims: { exp: Math.floor(hub.nowMs() / 1000) - 1 } })],
  ["no time at all", () => forge({ claims: { exp: undefined } as unknown as JWTPayload })],
  ["an epoch that is text", () => forge({ claims: { epoch: "1" } })],
  ["a node that is none", () => forge({ claims: { sub: "alice" } })],
  ["nothing", () => "."],
];

function bringKey(how: Readonly<Record<string, (key: SigningKey) => unknown>>): Promise<string> {
  const own = generateSigningKey();
  const header = Object.fromEntries(Object.entries(how).map(([name, make]) => [name, make(own)]));
  return forge({ header }, own);
}

describe("a token over the network", () => {
  it("I3: that is forged opens nothing, whatever is wrong with it, and honest nodes are served", async () => {
    const orchestrator = peer.open("control").client(AgentOrchestrator);
    const data = peer.open("data").client(AgentOrchestrator);
    const codes: Record<string, unknown> = {};
    for (const [what, make] of forgeries) {
      const token = await make();
      const links = [
        orchestrator.taskStream(bearer(token)),
        orchestrator.reportHealth(bearer(token)),
        data.logStream(bearer(token)),
      ];
      const ends = await Promise.all(links.map(async (link) => (await link.closed)?.code));
      codes[what] = [await codeOf(peer.register(token)), ...ends];
    }
    const all = ["UNAUTHENTICATED", "UNAUTHENTICATED", "UNAUTHENTICATED", "UNAUTHENTICATED"];
    expect(codes).toEqual(Object.fromEntries(forgeries.map(([what]) => [what, all])));
    expect(await codeOf(peer.register(await forge({})))).toBeUndefined();
    await assertServes(hub);
  });

  it("I3: is needed for each call, in the one scheme that there is", async () => {
    const orchestrator = peer.open("control").client(AgentOrchestrator);
    for (const headers of [{}, { authorization: honest }, { authorization: `Basic ${honest}` }]) {
      expect((await orchestrator.taskStream({ headers }).closed)?.code).toBe("UNAUTHENTICATED");
      expect(await codeOf(orchestrator.syncConfiguration({}, { headers }))).toBe("UNAUTHENTICATED");
    }
  });

  it("I3: of one node registers no other, and of an older connection opens nothing beside the newer one", async () => {
    const other = await enrolPeer(hub);
    expect(await codeOf(other.register(honest, { nodeId: other.nodeId }))).toBe("UNAUTHENTICATED");
    const connection = await peer.connect();
    const orchestrator = peer.open("control").client(AgentOrchestrator);
    expect((await orchestrator.reportHealth(bearer(honest)).closed)?.code).toBe("SUPERSEDED");
    expect(await codeOf(peer.register(honest))).toBe("SUPERSEDED");
    await hub.dispatchTo(peer.nodeId);
    await expect.poll(() => connection.grants().length).toBe(1);
  });

  it("I3: that was stolen takes no connection over, and its owner comes back with a new proof at any time", async () => {
    const connection = await peer.connect();
    const stolen = { sessionNonce: new Uint8Array(16).fill(9) };
    expect(await codeOf(peer.register(connection.token, stolen))).toBe("SUPERSEDED");
    expect(await codeOf(peer.register(connection.token))).toBe("SUPERSEDED");
    await hub.dispatchTo(peer.nodeId);
    await expect.poll(() => connection.grants().length).toBe(1);
    // As when the answer to a registration got lost.
    await peer.register((await peer.token()).token);
    await peer.connect();
  });

  it("I3: that ran out is replaced by a new proof of the key", async () => {
    hub.skip(10 * 60_000 + 1_000);
    await expect(peer.register(honest)).rejects.toThrow(/token has expired/);
    await peer.connect();
  });

  it("I3: is not to be had for a proof that was used, for another epoch than a new one, or by another key", async () => {
    const calls = peer.open("control").client(Enrollment);
    const { nodeId, hubId, key } = peer;
    const ask = async (signer: SigningKey, epoch: bigint, asked = epoch) => {
      const { nonce } = await calls.issueToken({ nodeId });
      return { nodeId, nonce, epoch: asked, signature: signTokenProof(signer, { nonce, nodeId, hubId, epoch }) };
    };
    const used = await ask(key, 0n);
    await calls.issueToken(used);
    expect(await codeOf(calls.issueToken(used))).toBe("UNAUTHENTICATED");
    expect(await codeOf(calls.issueToken(await ask(generateSigningKey(), 0n)))).toBe("UNAUTHENTICATED");
    expect(await codeOf(calls.issueToken(await ask(key, 1n, 0n)))).toBe("UNAUTHENTICATED");
    expect(await codeOf(calls.issueToken(await ask(key, 2n)))).toBe("BAD_REQUEST");
    await assertServes(hub);
  });
});

describe("a node of another version", () => {
  it.each([
    ["that is too old", { protocolMin: 0, protocolMax: 0 }, /node is too old: update it/],
    ["that is too new", { protocolMin: 7, protocolMax: 9 }, /hub is too old: update it/],
  ])("T2: %s is told which side to update, and others are served", async (_what, versions, text) => {
    const refused = peer.register(honest, versions);
    await expect(refused).rejects.toMatchObject({ code: "VERSION_UNSUPPORTED", message: expect.stringMatching(text) });
    await peer.connect();
  });
});
