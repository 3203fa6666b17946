/**
 * Signing exact bytes, and getting them back only when they are what the signer meant.
 *
 * Nothing here parses a payload: the bytes that were verified are the bytes that are parsed afterwards. The algorithm is
 * Ed25519 because the key is one; the message has no say in it.
 */
import { create } from "@bufbuild/protobuf";
import { type GrantSignature, type SignedGrant, SignedGrantSchema } from "../gen/cortex/agent/v1/agent_pb.js";
import { MAX_CONTROL_MESSAGE_BYTES } from "../limits.js";
import type { SigningKey, VerifyKey } from "./ed25519.js";
import type { Keyring } from "./keyring.js";
import { preAuthenticationEncoding } from "./pae.js";
import type { PayloadType } from "./payload-types.js";
import { grantRefused } from "./refusal.js";

/** Signatures on one grant: the current key and the next, during a rotation, with room. */
export const MAX_GRANT_SIGNATURES = 4;

/** What to sign, and with what. */
export interface SignOptions {
  readonly payload: Uint8Array;
  readonly payloadType: PayloadType;
  readonly key: SigningKey;
}

/** Signs a payload; gives the raw signature (64 bytes). */
export function signPayload({ payload, payloadType, key }: SignOptions): Uint8Array {
  return key.sign(preAuthenticationEncoding(payloadType, payload));
}

/** What to verify, and with what. */
export interface VerifyOptions {
  readonly payload: Uint8Array;
  readonly payloadType: PayloadType;
  readonly signature: Uint8Array;
  readonly key: VerifyKey;
}

/** Whether `signature` is the key's for exactly this payload and type. */
export function isSignedPayload({ payload, payloadType, signature, key }: VerifyOptions): boolean {
  return key.verify(preAuthenticationEncoding(payloadType, payload), signature);
}

/** Wraps a payload with its signature. */
export function signGrant(options: SignOptions): SignedGrant {
  const signature = signPayload(options);
  return create(SignedGrantSchema, {
    payload: options.payload,
    payloadType: options.payloadType,
    signatures: [{ keyId: options.key.keyId, signature }],
  });
}

/** What to verify a grant against. */
export interface VerifyGrantOptions {
  readonly grant: SignedGrant;
  /** The one type that is accepted. */
  readonly payloadType: PayloadType;
  readonly keys: Keyring;
}

/**
 * Gives the payload of a grant, verified and not parsed.
 *
 * At least one signature is of a known key, and every signature of a known key holds. Signatures of unknown keys count
 * for nothing, so that a hub can sign with its next key before all nodes know it.
 *
 * @throws CortexError `GRANT_REFUSED`; `details.reason` is `type`, `size` or `signature`.
 */
export function verifyGrant({ grant, payloadType, keys }: VerifyGrantOptions): Uint8Array {
  if (grant.payloadType !== payloadType) throw grantRefused("type", `it is not of the type ${payloadType}`);
  if (grant.payload.byteLength > MAX_CONTROL_MESSAGE_BYTES) throw grantRefused("size", "its payload is too large");
  if (grant.signatures.length > MAX_GRANT_SIGNATURES) throw grantRefused("size", "it has too many signatures");

  const known = grant.signatures.filter((entry) => keys.has(entry.keyId));
  if (known.length === 0) throw grantRefused("signature", "no signature is of a key that this node accepts");
  const encoded = preAuthenticationEncoding(payloadType, grant.payload);
  const isHolding = (entry: GrantSignature) => keys.get(entry.keyId)?.verify(encoded, entry.signature) === true;
  if (!known.every(isHolding)) throw grantRefused("signature", "a signature does not hold");
  return grant.payload;
}
