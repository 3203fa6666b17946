/**
 * The keys that grants are verified with: those that the node pinned when it enrolled, and no others.
 *
 * Whoever answers a registration could otherwise bring a key of their own and have everything run. A hub may name fewer keys
 * than are pinned, when it has given one up, and never another one.
 */
import { CortexError, type Keyring, openGrantKeys } from "@cortex-mesh/protocol";
import type { GrantKey } from "@cortex-mesh/protocol/gen";
import type { StoredGrantKey } from "../state/identity.js";

/**
 * Gives the keys of a connection: those that the hub named, each of them pinned and none of them over.
 *
 * @throws CortexError `UNAUTHENTICATED` for a key that is not pinned; `GRANT_REFUSED` for one that is malformed.
 */
export function openPinnedKeys(pinned: readonly StoredGrantKey[], named: readonly GrantKey[], nowMs: number): Keyring {
  // Read whole, so that malformed keys, misnamed ones and too many of them are refused first.
  const keys = openGrantKeys(named, nowMs);
  const known = new Map(pinned.map((key) => [key.keyId, key]));
  for (const { keyId, publicKey } of keys.values()) {
    if (known.get(keyId)?.publicKey === Buffer.from(publicKey).toString("base64")) continue;
    throw new CortexError(
      "UNAUTHENTICATED",
      `the hub wants its tasks verified with the key ${keyId}, which this node did not get when it enrolled; ` +
        "if the hub was set up anew, enrol the node again with an empty state directory",
      { details: { keyId } },
    );
  }
  const isOver = ({ notAfterMs }: StoredGrantKey): boolean => notAfterMs !== 0 && notAfterMs < nowMs;
  return new Map([...keys].filter(([keyId]) => !isOver(known.get(keyId) as StoredGrantKey)));
}
