import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { GrantKeySchema, type SignedGrant, SignedGrantSchema } from "../../src/gen/cortex/agent/v1/agent_pb.js";
import { generateSigningKey, signingKeyFromSeed } from "../../src/signing/ed25519.js";
import { isSignedPayload, MAX_GRANT_SIGNATURES, signGrant, signPayload, verifyGrant } from "../../src/signing/grant.js";
import { createKeyring, MAX_GRANT_KEYS, openGrantKeys } from "../../src/signing/keyring.js";
import { preAuthenticationEncoding } from "../../src/signing/pae.js";
import { PAYLOAD_TYPES, type PayloadType } from "../../src/signing/payload-types.js";
import { catchCortexError } from "./catch-cortex-error.js";
import { readVectors } from "./read-vectors.js";

const vectors = readVectors();
const key = signingKeyFromSeed(Buffer.from(vectors.keys[0]!.seedHex, "hex"));
const keys = createKeyring([key.publicKey]);
const payloadType = PAYLOAD_TYPES.taskGrant;

const refusal = (grant: SignedGrant, type: PayloadType = payloadType) =>
  catchCortexError(() => verifyGrant({ grant, payloadType: type, keys }));

describe("golden bytes", () => {
  it.each(vectors.pae)("I4: the encoding of $payloadType is DSSE's", (vector) => {
    const encoded = preAuthenticationEncoding(vector.payloadType, Buffer.from(vector.payloadText));
    expect(encoded.toString("utf8")).toBe(vector.paeText);
  });

  it.each(vectors.signed)("I4: $name has the committed encoding and signature", (vector) => {
    const signer = signingKeyFromSeed(
      Buffer.from(vectors.keys.find((entry) => entry.keyId === vector.keyId)!.seedHex, "hex"),
    );
    const payload = Buffer.from(vector.payloadHex, "hex");
    const type = vector.payloadType as PayloadType;
    const signature = signPayload({ payload, payloadType: type, key: signer });
    expect(preAuthenticationEncoding(type, payload).toString("hex")).toBe(vector.paeHex);
    expect(Buffer.from(signature).toString("hex")).toBe(vector.signatureHex);
    expect(isSignedPayload({ payload, payloadType: type, signature, key: signer })).toBe(true);
  });

  it("I4: the length of a type counts bytes, not characters", () => {
    expect(preAuthenticationEncoding("é", Buffer.from("x")).toString("utf8")).toBe("DSSEv1 2 é 1 x");
  });
});

describe("verifyGrant", () => {
  it("I4: gives back exactly the bytes that were signed", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 512 }), (payload) => {
        expect(verifyGrant({ grant: signGrant({ payload, payloadType, key }), payloadType, keys })).toEqual(payload);
      }),
      { numRuns: 50 },
    );
  });

  it("I4: any flipped bit in payload, type, key id or signature is refused", () => {
    const change = fc.record({
      payload: fc.uint8Array({ minLength: 1, maxLength: 256 }),
      part: fc.constantFrom("payload", "payloadType", "keyId", "signature"),
      at: fc.nat(),
      bit: fc.nat(7),
    });
    fc.assert(
      fc.property(change, ({ payload, part, at, bit }) => {
        const grant = signGrant({ payload: Uint8Array.from(payload), payloadType, key });
        const [entry] = grant.signatures;
        if (part === "payload") flip(grant.payload, at, bit);
        if (part === "signature") flip(entry!.signature, at, bit);
        if (part === "payloadType") grant.payloadType = flipText(grant.payloadType, at);
        if (part === "keyId") entry!.keyId = flipText(entry!.keyId, at);
        expect(refusal(grant)?.code).toBe("GRANT_REFUSED");
      }),
      { numRuns: 300 },
    );
  });

  it("I4: a grant of one type is refused as any other, relabelled or not", () => {
    const types = Object.values(PAYLOAD_TYPES);
    for (const signedAs of types) {
      for (const readAs of types.filter((type) => type !== signedAs)) {
        const grant = signGrant({ payload: Buffer.from("same bytes"), payloadType: signedAs, key });
        expect(refusal(grant, readAs)?.details["reason"]).toBe("type");
        grant.payloadType = readAs;
        expect(refusal(grant, readAs)?.details["reason"]).toBe("signature");
      }
    }
  });

  it("I4: a grant of an unknown key, or without a signature, is refused", () => {
    const payload = Buffer.from("x");
    expect(refusal(signGrant({ payload, payloadType, key: generateSigningKey() }))?.details["reason"]).toBe(
      "signature",
    );
    expect(refusal(create(SignedGrantSchema, { payload, payloadType }))?.details["reason"]).toBe("signature");
  });

  it("I7: a grant signed by the current and an unknown next key holds, unless the current signature is bad", () => {
    const next = generateSigningKey();
    const grant = signGrant({ payload: Buffer.from("x"), payloadType, key });
    grant.signatures.push(signGrant({ payload: grant.payload, payloadType, key: next }).signatures[0]!);
    expect(verifyGrant({ grant, payloadType, keys })).toEqual(grant.payload);
    flip(grant.signatures[0]!.signature, 3, 1);
    const both = createKeyring([key.publicKey, next.publicKey]);
    expect(catchCortexError(() => verifyGrant({ grant, payloadType, keys: both }))?.details["reason"]).toBe(
      "signature",
    );
  });

  it("I4: a grant with too many signatures or too large a payload is refused before any is verified", () => {
    const grant = signGrant({ payload: Buffer.from("x"), payloadType, key });
    const [entry] = grant.signatures;
    grant.signatures = Array.from({ length: MAX_GRANT_SIGNATURES + 1 }, () => entry!);
    expect(refusal(grant)?.details["reason"]).toBe("size");
    const large = signGrant({ payload: new Uint8Array(1024 * 1024 + 1), payloadType, key });
    expect(refusal(large)?.details["reason"]).toBe("size");
  });

  it("I4: a refusal never repeats the bytes", () => {
    const grant = signGrant({ payload: Buffer.from("rm -rf secret"), payloadType, key });
    flip(grant.payload, 0, 0);
    expect(JSON.stringify([refusal(grant)?.message, refusal(grant)?.details])).not.toContain("secret");
  });
});

describe("openGrantKeys", () => {
  const grantKey = (over: { keyId?: string; notAfterMs?: bigint; publicKey?: Uint8Array }) =>
    create(GrantKeySchema, { keyId: key.keyId, publicKey: key.publicKey, notAfterMs: 0n, ...over });

  it("I7: takes keys that are not over", () => {
    expect([...openGrantKeys([grantKey({})], 1000).keys()]).toEqual([key.keyId]);
    expect(openGrantKeys([grantKey({ notAfterMs: 1000n })], 1000.5).size).toBe(1);
    expect(openGrantKeys([grantKey({ notAfterMs: 999n })], 1000).size).toBe(0);
  });

  it("I4: a key with another key's id, a malformed key and too many keys are refused", () => {
    const refused = [[grantKey({ keyId: "0000000000000000" })], [grantKey({ publicKey: new Uint8Array(5) })]];
    refused.push(Array.from({ length: MAX_GRANT_KEYS + 1 }, () => grantKey({})));
    for (const list of refused) expect(catchCortexError(() => openGrantKeys(list, 0))?.code).toBe("GRANT_REFUSED");
  });
});

function flip(bytes: Uint8Array, at: number, bit: number): void {
  const index = at % bytes.byteLength;
  bytes[index] = bytes[index]! ^ (1 << bit);
}

function flipText(text: string, at: number): string {
  const index = at % text.length;
  return text.slice(0, index) + (text[index] === "x" ? "y" : "x") + text.slice(index + 1);
}
