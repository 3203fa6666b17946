/**
 * Who this hub is: its id, the key that signs grants, the key that signs tokens, and the pepper of its stored hashes.
 *
 * Made once, in one transaction of the store; a store that has only some of them is damaged, and nothing is made up.
 * Grants and tokens have separate keys, so that neither can be passed off as the other.
 */
import { createHmac } from "node:crypto";
import {
  CortexError,
  type HubId,
  type IdSource,
  isId,
  type SigningKey,
  signingKeyFromSeed,
} from "@cortex-mesh/protocol";
import type { HubStore } from "../store/store.js";
import { type RandomSource, systemRandom } from "./random.js";

/** What an HMAC under the hub's pepper is for; one purpose is worth nothing for another. */
export type MacPurpose = "invite-secret";

/** The hub's identity and keys. */
export interface HubAuthority {
  readonly hubId: HubId;
  /** Signs grants; nodes get its public half when they enrol and register. */
  readonly grantKey: SigningKey;
  /** Signs tokens, for this hub alone. */
  readonly tokenKey: SigningKey;
  /** HMAC-SHA256 under the hub's pepper, 32 bytes. */
  mac(purpose: MacPurpose, data: Uint8Array): Uint8Array;
}

/** What {@link openAuthority} needs. */
export interface OpenAuthorityOptions {
  readonly store: HubStore;
  readonly ids: IdSource;
  /** @default the system's random source */
  readonly random?: RandomSource;
}

const NAMES = {
  hubId: "hub.id",
  grantSeed: "hub.grant-key",
  tokenSeed: "hub.token-key",
  pepper: "hub.pepper",
} as const;
const KEY_BYTES = 32;

type Material = Readonly<Record<keyof typeof NAMES, Uint8Array>>;

/**
 * Loads the hub's identity, or makes it on the first start.
 *
 * @throws CortexError `DATA_CORRUPT` when the store has only a part of it.
 */
export async function openAuthority({
  store,
  ids,
  random = systemRandom,
}: OpenAuthorityOptions): Promise<HubAuthority> {
  const material = await store.transaction(async ({ keys }) => {
    const present: Partial<Record<keyof Material, Uint8Array>> = {};
    for (const part of partNames()) {
      const value = await keys.get(NAMES[part]);
      if (value !== undefined) present[part] = value;
    }
    if (Object.keys(present).length > 0) return assertComplete(present);
    const fresh: Material = {
      hubId: Buffer.from(ids.next("hub"), "utf8"),
      grantSeed: random(KEY_BYTES),
      tokenSeed: random(KEY_BYTES),
      pepper: random(KEY_BYTES),
    };
    for (const part of partNames()) await keys.set(NAMES[part], fresh[part]);
    return fresh;
  });
  return toAuthority(material);
}

function toAuthority(material: Material): HubAuthority {
  const hubId = Buffer.from(material.hubId).toString("utf8");
  if (!isId("hub", hubId)) throw new CortexError("DATA_CORRUPT", `the stored ${NAMES.hubId} is not a hub id`);
  const pepper = Buffer.from(material.pepper);
  return {
    hubId,
    grantKey: signingKeyFromSeed(material.grantSeed),
    tokenKey: signingKeyFromSeed(material.tokenSeed),
    mac: (purpose, data) => createHmac("sha256", pepper).update(`cortex ${purpose} v1\0`).update(data).digest(),
  };
}

function assertComplete(present: Partial<Material>): Material {
  const { hubId, grantSeed, tokenSeed, pepper } = present;
  const isWhole = [grantSeed, tokenSeed, pepper].every((value) => value?.byteLength === KEY_BYTES);
  if (isWhole && hubId && grantSeed && tokenSeed && pepper) return { hubId, grantSeed, tokenSeed, pepper };
  throw new CortexError("DATA_CORRUPT", "the store has only a part of the hub's keys; restore it from a backup");
}

function partNames(): (keyof typeof NAMES)[] {
  return Object.keys(NAMES) as (keyof typeof NAMES)[];
}
