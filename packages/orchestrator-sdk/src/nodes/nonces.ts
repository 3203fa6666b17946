/**
 * Challenges that cost the hub no memory until they are answered.
 *
 * A nonce is its time of expiry, 16 random bytes, and an HMAC over both and over what it is bound to, under a key that
 * lives as long as this object. So a flood of requests fills nothing, and a nonce of another process or an earlier start
 * is worth nothing (the node asks for a new one). `spend` remembers what was used, up to {@link MAX_SPENT_NONCES}, and of
 * one spender up to {@link MAX_SPENT_BY_ONE}: a key that floods shuts itself out and nobody else.
 */
import { createHmac } from "node:crypto";
import { type Clock, CortexError, isEqualSecret } from "@cortex-mesh/protocol";
import type { RandomSource } from "./random.js";

/** Used nonces that are remembered until they expire: ten thousands of nodes that come back within a minute. */
export const MAX_SPENT_NONCES = 65_536;
/** Used nonces of one spender: a node that comes back needs one. */
export const MAX_SPENT_BY_ONE = 64;
/** How long a node has to answer. */
export const NONCE_TTL_MS = 60_000;

const EXPIRY_BYTES = 8;
const RANDOM_BYTES = 16;
const MAC_BYTES = 32;
const NONCE_BYTES = EXPIRY_BYTES + RANDOM_BYTES + MAC_BYTES;

/** Makes nonces and knows its own. */
export interface NonceMint {
  /** A nonce that holds for {@link NONCE_TTL_MS} and these bindings. */
  issue(bindings: readonly (string | Uint8Array)[]): Uint8Array;
  /** Whether it is from here, not expired, and bound to exactly this. */
  isValid(nonce: Uint8Array, bindings: readonly (string | Uint8Array)[]): boolean;
  /**
   * Uses it up. False when it was used before.
   *
   * @throws CortexError `UNAVAILABLE` when too many are remembered, of this spender or of all.
   */
  spend(nonce: Uint8Array, spender: string): boolean;
}

/** Makes a mint with a key of its own. */
export function createNonceMint({
  clock,
  random,
}: {
  readonly clock: Clock;
  readonly random: RandomSource;
}): NonceMint {
  const key = random(MAC_BYTES);
  const spent = createSpentNonces(() => clock.monotonicMs());

  const macOf = (head: Uint8Array, bindings: readonly (string | Uint8Array)[]): Uint8Array => {
    const mac = createHmac("sha256", key).update(head);
    for (const binding of bindings) {
      const bytes = Buffer.from(binding);
      mac.update(`${bytes.byteLength}:`).update(bytes);
    }
    return mac.digest();
  };
  const expiryOf = (nonce: Uint8Array): number => Number(Buffer.from(nonce).readBigUInt64BE(0));

  return {
    issue(bindings) {
      const head = Buffer.concat([Buffer.alloc(EXPIRY_BYTES), random(RANDOM_BYTES)]);
      head.writeBigUInt64BE(BigInt(Math.ceil(clock.monotonicMs() + NONCE_TTL_MS)));
      return Buffer.concat([head, macOf(head, bindings)]);
    },
    isValid(nonce, bindings) {
      if (nonce.byteLength !== NONCE_BYTES) return false;
      const head = nonce.subarray(0, EXPIRY_BYTES + RANDOM_BYTES);
      return (
        isEqualSecret(nonce.subarray(head.byteLength), macOf(head, bindings)) && expiryOf(nonce) > clock.monotonicMs()
      );
    },
    spend: (nonce, spender) => spent.add({ nonce, spender, expiresAtMs: expiryOf(nonce) }),
  };
}

/** A nonce that was used. */
interface SpentNonce {
  readonly nonce: Uint8Array;
  readonly spender: string;
  readonly expiresAtMs: number;
}

/** What was used and has not expired, by spender. */
function createSpentNonces(monotonicMs: () => number): { add(spent: SpentNonce): boolean } {
  const bySpender = new Map<string, Map<string, number>>();
  let size = 0;
  const forgetExpired = (spender: string, own: Map<string, number>): void => {
    const nowMs = monotonicMs();
    for (const [name, expiresAtMs] of own) if (expiresAtMs <= nowMs && own.delete(name)) size -= 1;
    if (own.size === 0) bySpender.delete(spender);
  };
  return {
    add({ nonce, spender, expiresAtMs }) {
      const name = Buffer.from(nonce).toString("base64");
      const known = bySpender.get(spender);
      if (known?.has(name)) return false;
      if (known !== undefined && known.size >= MAX_SPENT_BY_ONE) forgetExpired(spender, known);
      if ((bySpender.get(spender)?.size ?? 0) >= MAX_SPENT_BY_ONE) {
        throw new CortexError("UNAVAILABLE", "the node connects too often; wait a minute");
      }
      if (size >= MAX_SPENT_NONCES) for (const entry of bySpender) forgetExpired(...entry);
      if (size >= MAX_SPENT_NONCES) throw new CortexError("UNAVAILABLE", "too many nodes connect at once");
      const own = bySpender.get(spender) ?? new Map<string, number>();
      bySpender.set(spender, own.set(name, expiresAtMs));
      size += 1;
      return true;
    },
  };
}
