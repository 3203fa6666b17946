/** The keys that a node accepts grants from, by key id. */
import type { GrantKey } from "../gen/cortex/agent/v1/agent_pb.js";
import { createVerifyKey, keyIdOf, type VerifyKey } from "./ed25519.js";
import { grantRefused } from "./refusal.js";

/** Keys by their id. */
export type Keyring = ReadonlyMap<string, VerifyKey>;

/** Keys in one keyring: the current one and a few that are being rotated out. */
export const MAX_GRANT_KEYS = 8;

/** Makes a keyring of raw public keys. @throws RangeError for a key that is malformed or of small order. */
export function createKeyring(publicKeys: Iterable<Uint8Array>): Keyring {
  return new Map(Array.from(publicKeys, (raw) => createVerifyKey(raw)).map((key) => [key.keyId, key]));
}

/**
 * Makes a keyring of what the hub sent at enrolment or registration, without the keys that are over.
 *
 * @throws CortexError `GRANT_REFUSED` when there are too many keys, or one is malformed or misnamed.
 */
export function openGrantKeys(grantKeys: readonly GrantKey[], nowMs: number): Keyring {
  if (grantKeys.length > MAX_GRANT_KEYS) throw grantRefused("signature", `more than ${MAX_GRANT_KEYS} keys`);
  const valid = grantKeys.filter((key) => key.notAfterMs === 0n || key.notAfterMs >= BigInt(Math.floor(nowMs)));
  if (valid.some((key) => keyIdOf(key.publicKey) !== key.keyId)) {
    throw grantRefused("signature", "a key does not have the id it is named by");
  }
  try {
    return createKeyring(valid.map((key) => key.publicKey));
  } catch (cause) {
    throw grantRefused("signature", "a key is malformed", cause);
  }
}
