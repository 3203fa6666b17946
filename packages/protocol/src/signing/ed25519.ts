/**
 * Ed25519 keys and signatures over raw bytes: 32-byte seeds and public keys, 64-byte signatures.
 *
 * Verification is strict, so that two implementations never disagree on a signature: the scalar S is below the group
 * order, points are written canonically, and neither key nor R has small order. `node:crypto` does the arithmetic.
 * Source: RFC 8032; the cases of "Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko, 2020).
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from "node:crypto";
import { sha256 } from "../encoding.js";

/** Length of a raw public key, and of the seed of a private key. */
export const ED25519_KEY_BYTES = 32;
/** Length of a raw signature. */
export const ED25519_SIGNATURE_BYTES = 64;

/** A public key that passed the checks, ready to verify. */
export interface VerifyKey {
  /** First 16 hex digits of SHA-256 of the public key. */
  readonly keyId: string;
  /** Raw, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** The same key for libraries that take a KeyObject. */
  readonly keyObject: KeyObject;
  /** Whether `signature` is this key's for exactly `data`; false also for a malformed one. */
  verify(data: Uint8Array, signature: Uint8Array): boolean;
}

/** A private key with its public half. */
export interface SigningKey extends VerifyKey {
  readonly privateKeyObject: KeyObject;
  /** Raw signature of `data`, 64 bytes. Deterministic. */
  sign(data: Uint8Array): Uint8Array;
  /** The 32 bytes to keep; {@link signingKeyFromSeed} makes the same key of them. A secret. */
  exportSeed(): Uint8Array;
}

const SPKI_HEAD = Buffer.from("302a300506032b6570032100", "hex");
const PKCS8_HEAD = Buffer.from("302e020100300506032b657004220420", "hex");

/** Gives the id of a public key: the first 16 hex digits of its SHA-256. */
export function keyIdOf(publicKey: Uint8Array): string {
  return sha256(publicKey).toString("hex").slice(0, 16);
}

/**
 * Takes a raw public key in use.
 *
 * @throws RangeError when it is not 32 bytes, not written canonically, or of small order.
 */
export function createVerifyKey(publicKey: Uint8Array): VerifyKey {
  if (publicKey.byteLength !== ED25519_KEY_BYTES) {
    throw new RangeError(`an Ed25519 public key has ${ED25519_KEY_BYTES} bytes, not ${publicKey.byteLength}`);
  }
  const raw = Buffer.from(publicKey);
  if (!isSoundPoint(raw)) throw new RangeError("the Ed25519 public key is not canonical or has small order");
  const keyObject = createPublicKey({ key: Buffer.concat([SPKI_HEAD, raw]), format: "der", type: "spki" });
  return {
    keyId: keyIdOf(raw),
    publicKey: raw,
    keyObject,
    verify: (data, signature) => isSoundSignature(signature) && verify(null, data, keyObject, signature),
  };
}

/**
 * Makes the key pair of a 32-byte seed (the private key of RFC 8032).
 *
 * @throws RangeError when the seed is not 32 bytes.
 */
export function signingKeyFromSeed(seed: Uint8Array): SigningKey {
  if (seed.byteLength !== ED25519_KEY_BYTES) {
    throw new RangeError(`an Ed25519 seed has ${ED25519_KEY_BYTES} bytes, not ${seed.byteLength}`);
  }
  return fromPrivateKey(createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, seed]), format: "der", type: "pkcs8" }));
}

/** Makes a key pair from the system's random source. */
export function generateSigningKey(): SigningKey {
  return fromPrivateKey(generateKeyPairSync("ed25519").privateKey);
}

function fromPrivateKey(privateKeyObject: KeyObject): SigningKey {
  const spki = createPublicKey(privateKeyObject).export({ format: "der", type: "spki" });
  return {
    ...createVerifyKey(spki.subarray(SPKI_HEAD.byteLength)),
    privateKeyObject,
    sign: (data) => sign(null, data, privateKeyObject),
    exportSeed: () => privateKeyObject.export({ format: "der", type: "pkcs8" }).subarray(PKCS8_HEAD.byteLength),
  };
}

/** Order of the base point's group, and the field's prime. */
const GROUP_ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;
const FIELD_PRIME = 2n ** 255n - 19n;
const Y_MASK = 2n ** 255n - 1n;

/** The y coordinates of the eight points whose order divides 8; x decides only the sign bit. */
const SMALL_ORDER_Y: ReadonlySet<bigint> = new Set([
  0n,
  1n,
  FIELD_PRIME - 1n,
  littleEndian(Buffer.from("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", "hex")),
  littleEndian(Buffer.from("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", "hex")),
]);

function isSoundSignature(signature: Uint8Array): boolean {
  if (signature.byteLength !== ED25519_SIGNATURE_BYTES) return false;
  const s = littleEndian(signature.subarray(ED25519_KEY_BYTES));
  return s < GROUP_ORDER && isSoundPoint(signature.subarray(0, ED25519_KEY_BYTES));
}

/** Whether 32 bytes write a y below the prime that is not one of small order. */
function isSoundPoint(bytes: Uint8Array): boolean {
  const y = littleEndian(bytes) & Y_MASK;
  return y < FIELD_PRIME && !SMALL_ORDER_Y.has(y);
}

function littleEndian(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).reverse().toString("hex")}`);
}
