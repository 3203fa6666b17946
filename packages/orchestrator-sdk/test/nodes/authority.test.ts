import { describe, expect, it } from "vitest";
import { systemIds } from "@cortex-mesh/protocol";
import { openAuthority } from "../../src/nodes/authority.js";
import type { HubStore } from "../../src/store/store.js";
import { openTempStore, refusalOf } from "./open-identity.js";

const open = (store: HubStore) => openAuthority({ store, ids: systemIds });

describe("the hub's identity", () => {
  it("I4: is made once and is the same after every start", async () => {
    const store = openTempStore();
    const first = await open(store);
    const second = await open(store);
    expect(first.hubId).toMatch(/^hub_/);
    expect(second.hubId).toBe(first.hubId);
    expect(second.grantKey.keyId).toBe(first.grantKey.keyId);
    expect(second.tokenKey.keyId).toBe(first.tokenKey.keyId);
    expect(second.mac("invite-secret", Buffer.from("x"))).toEqual(first.mac("invite-secret", Buffer.from("x")));
  });

  it("I4: two first starts at once agree on one identity", async () => {
    const store = openTempStore();
    const opened = await Promise.all([open(store), open(store), open(store)]);
    expect(new Set(opened.map((authority) => authority.hubId)).size).toBe(1);
    expect(new Set(opened.map((authority) => authority.grantKey.keyId)).size).toBe(1);
  });

  it("I4: grants and tokens are signed by separate keys", async () => {
    const { grantKey, tokenKey } = await open(openTempStore());
    expect(grantKey.keyId).not.toBe(tokenKey.keyId);
    const data = Buffer.from("x");
    expect(grantKey.verify(data, tokenKey.sign(data))).toBe(false);
  });

  it("I4: a store with only a part of the keys is refused, and nothing is made up", async () => {
    const store = openTempStore();
    await store.transaction((tx) => tx.keys.set("hub.pepper", Buffer.alloc(32)));
    expect((await refusalOf(open(store)))?.code).toBe("DATA_CORRUPT");
    expect(await store.keys.get("hub.id")).toBeUndefined();
  });
});
