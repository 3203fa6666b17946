import { createHash, verify as verifyLoosely } from "node:crypto";
import { describe, expect, it } from "vitest";
import { createVerifyKey, generateSigningKey, keyIdOf, signingKeyFromSeed } from "../../src/signing/ed25519.js";
import { readVectors } from "./read-vectors.js";

const GROUP_ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;
const vectors = readVectors();
const [first] = vectors.keys;
const seed = Buffer.from(first!.seedHex, "hex");

/** The points whose order divides 8, canonical and not, as published by the authors of the malleability study. */
const SMALL_ORDER_POINTS = [
  "0100000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000080",
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0000000000000000000000000000000000000000000000000000000000000080",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

describe("Ed25519 keys", () => {
  it.each(vectors.keys)("I2: key $keyId signs as RFC 8032 says", (vector) => {
    const key = signingKeyFromSeed(Buffer.from(vector.seedHex, "hex"));
    const message = Buffer.from(vector.messageHex, "hex");
    expect(hex(key.publicKey)).toBe(vector.publicKeyHex);
    expect(key.keyId).toBe(vector.keyId);
    expect(hex(key.sign(message))).toBe(vector.messageSignatureHex);
    expect(createVerifyKey(key.publicKey).verify(message, Buffer.from(vector.messageSignatureHex, "hex"))).toBe(true);
  });

  it("I2: a key comes back from its seed", () => {
    const key = generateSigningKey();
    const again = signingKeyFromSeed(key.exportSeed());
    expect(hex(again.publicKey)).toBe(hex(key.publicKey));
    expect(key.verify(seed, again.sign(seed))).toBe(true);
  });

  it("I2: a key id is the first 16 hex digits of the key's SHA-256", () => {
    const key = signingKeyFromSeed(seed);
    expect(keyIdOf(key.publicKey)).toBe(createHash("sha256").update(key.publicKey).digest("hex").slice(0, 16));
  });

  it.each([0, 31, 33, 64])("I4: a key of %i bytes is refused", (length) => {
    expect(() => createVerifyKey(new Uint8Array(length))).toThrow(RangeError);
    expect(() => signingKeyFromSeed(new Uint8Array(length))).toThrow(RangeError);
  });

  it.each(SMALL_ORDER_POINTS)("I4: the small-order key %s is refused", (point) => {
    expect(() => createVerifyKey(Buffer.from(point, "hex"))).toThrow("small order");
  });
});

describe("strict verification", () => {
  const key = signingKeyFromSeed(seed);
  const message = Buffer.from("a message");

  it.each([0, 63, 65, 128])("I4: a signature of %i bytes is refused", (length) => {
    expect(key.verify(message, new Uint8Array(length))).toBe(false);
  });

  it("I4: a signature whose S is not below the group order is refused", () => {
    const signature = Buffer.from(key.sign(message));
    const s = fromLittleEndian(signature.subarray(32)) + GROUP_ORDER;
    toLittleEndian(s).copy(signature, 32);
    expect(key.verify(message, signature)).toBe(false);
  });

  it("I4: a signature whose R has small order is refused, though its equation holds", () => {
    const signature = signWithNeutralPoint(message);
    expect(verifyLoosely(null, message, key.keyObject, signature)).toBe(true);
    expect(key.verify(message, signature)).toBe(false);
  });

  it("I4: a signature does not hold for other data or another key", () => {
    const signature = key.sign(message);
    expect(key.verify(Buffer.from("a messagf"), signature)).toBe(false);
    expect(generateSigningKey().verify(message, signature)).toBe(false);
  });

  /** R is the neutral point and S = H(R, A, M) a, which satisfies S B = R + H(R, A, M) A. */
  function signWithNeutralPoint(data: Uint8Array): Buffer {
    const r = Buffer.from(SMALL_ORDER_POINTS[0]!, "hex");
    const secret = createHash("sha512").update(seed).digest().subarray(0, 32);
    secret[0] = secret[0]! & 0xf8;
    secret[31] = (secret[31]! & 0x7f) | 0x40;
    const challenge = createHash("sha512").update(r).update(key.publicKey).update(data).digest();
    const s = (fromLittleEndian(challenge) * fromLittleEndian(secret)) % GROUP_ORDER;
    return Buffer.concat([r, toLittleEndian(s)]);
  }
});

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

function fromLittleEndian(bytes: Uint8Array): bigint {
  return BigInt(`0x${hex(Uint8Array.from(bytes).reverse())}`);
}

function toLittleEndian(value: bigint): Buffer {
  return Buffer.from(value.toString(16).padStart(64, "0"), "hex").reverse();
}
