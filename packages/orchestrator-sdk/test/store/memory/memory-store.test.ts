import { describe, expect, it } from "vitest";
import { systemScope } from "../../../src/access/scope.js";
import { hubStoreConformance } from "../../../src/conformance/hub-store-conformance.js";
import { node, nodeId } from "../../../src/conformance/sample-records.js";
import { createMemoryStore, type MemoryStore, type MemoryStoreStep } from "../../../src/store/memory/memory-store.js";
import type { HubStore } from "../../../src/store/store.js";

describe("H1: the memory store keeps the contract", () => {
  for (const c of hubStoreConformance(async () => createMemoryStore(), { durable: false, shared: false }))
    it(`H2: ${c.name}`, c.run);
});

describe("P5: the memory store with its durable half keeps the contract of a durable store", () => {
  const claim = (store: HubStore): HubStore => Object.assign(store, { capabilities: { durable: true, shared: false } });
  const reopen = async (store: HubStore): Promise<HubStore> => claim((store as MemoryStore).crash());
  const claims = { durable: true, shared: false, reopen };
  for (const c of hubStoreConformance(async () => claim(createMemoryStore()), claims)) it(`H2: ${c.name}`, c.run);
});

const insertNode = (store: HubStore, n: number): Promise<void> => store.transaction((tx) => tx.nodes.insert(node(n)));
const names = async (store: HubStore): Promise<string[]> =>
  (await store.nodes.list(systemScope, { limit: 100 })).map((record) => record.name);

describe("P5: a crash of the memory store", () => {
  it("loses what was not synced, and nothing else", async () => {
    const store = createMemoryStore({ syncEvery: 2 });
    for (const n of [1, 2, 3]) await insertNode(store, n);
    expect(await names(store)).toEqual(["node 1", "node 2", "node 3"]);
    expect(await names(store.crash())).toEqual(["node 1", "node 2"]);
  });

  it("loses nothing after an explicit sync", async () => {
    const store = createMemoryStore({ syncEvery: Number.POSITIVE_INFINITY });
    await insertNode(store, 1);
    store.sync();
    await insertNode(store, 2);
    expect(await names(store.crash())).toEqual(["node 1"]);
  });

  it("leaves a store that goes on by itself: neither half of the old one changes", async () => {
    const store = createMemoryStore();
    await insertNode(store, 1);
    const after = store.crash();
    await insertNode(after, 2);
    expect(await names(after.crash())).toEqual(["node 1", "node 2"]);
    await expect(store.nodes.get(systemScope, nodeId(1))).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await expect(insertNode(store, 3)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  it.each([
    { at: "committing", survives: false },
    { at: "committed", survives: true },
  ] as const)("at the step $at tells the caller nothing; the write survives: $survives", async ({ at, survives }) => {
    let after: MemoryStore | undefined;
    const store: MemoryStore = createMemoryStore({
      onStep: (step: MemoryStoreStep) => {
        if (step === at && after === undefined) after = store.crash();
      },
    });
    await expect(insertNode(store, 1)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(await names(after!)).toEqual(survives ? ["node 1"] : []);
  });
});
