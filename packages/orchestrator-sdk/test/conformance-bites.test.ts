/** The suite proves something only if it fails: each broken store here makes the named case fail. */
import { describe, expect, it } from "vitest";
import { systemScope } from "../src/access/scope.js";
import { type HubStoreClaims, hubStoreConformance } from "../src/conformance/hub-store-conformance.js";
import { createMemoryStore, type MemoryStore } from "../src/store/memory/memory-store.js";
import type { NodeRecord } from "../src/store/records.js";
import type { HubStore, StoreReads, StoreTransaction } from "../src/store/store.js";

/** What is wrong with a store. Each part gets the healthy one and gives what to put in its place. */
interface Fault {
  readonly fault: string;
  /** Cases that must fail, by id. */
  readonly bites: readonly string[];
  /** Replaces reads, in and outside transactions. */
  readonly reads?: (healthy: StoreReads) => Partial<StoreReads>;
  /** Replaces parts of a transaction. */
  readonly writes?: (healthy: StoreTransaction) => Partial<StoreTransaction>;
  readonly transaction?: (healthy: HubStore) => HubStore["transaction"];
  readonly close?: (healthy: HubStore) => () => Promise<void>;
  readonly options?: Parameters<typeof createMemoryStore>[0];
}

const FAULTS: readonly Fault[] = [
  {
    fault: "ignores the revision",
    bites: ["revision/one-wins", "revision/stale"],
    writes: (healthy) => ({
      nodes: { ...healthy.nodes, update: (record) => forceUpdate(healthy, record) },
      sessions: { ...healthy.sessions, update: () => Promise.resolve() },
    }),
  },
  {
    fault: "overwrites on insert",
    bites: ["revision/insert"],
    writes: (healthy) => ({
      nodes: {
        ...healthy.nodes,
        insert: (record) => healthy.nodes.insert(record).catch(() => forceUpdate(healthy, record)),
      },
    }),
  },
  {
    fault: "hands out the object it keeps",
    bites: ["value/copies-out"],
    reads: (healthy) => {
      const kept = new Map<string, NodeRecord>();
      return {
        nodes: {
          ...healthy.nodes,
          get: async (scope, id) => {
            const record = await healthy.nodes.get(scope, id);
            if (record && !kept.has(id)) kept.set(id, structuredClone(record));
            return record && kept.get(id);
          },
        },
      };
    },
  },
  {
    fault: "keeps the object it was given",
    bites: ["value/copies-in"],
    writes: (healthy) => ({
      keys: {
        ...healthy.keys,
        set: async (name, value) => {
          ALIASED.set(name, value);
          await healthy.keys.set(name, value);
        },
      },
    }),
    reads: (healthy) => ({ keys: { get: async (name) => ALIASED.get(name) ?? healthy.keys.get(name) } }),
  },
  {
    fault: "loses the last write",
    bites: ["transaction/last-write"],
    transaction: (healthy) => {
      let count = 0;
      return (work) => (++count === 5 ? runAndForget(healthy, work) : healthy.transaction(work));
    },
  },
  {
    fault: "forgets to roll back",
    bites: ["transaction/rollback", "transaction/neighbour", "event/gapless", "feed/numbers"],
    transaction: (healthy) => async (work) => {
      const outcome = await healthy.transaction((tx) =>
        work(tx).then(
          (value) => ({ value }),
          (error: unknown) => ({ error }),
        ),
      );
      if ("error" in outcome) throw outcome.error;
      return outcome.value;
    },
  },
  {
    fault: "lets a transaction be used after its end",
    bites: ["transaction/ended"],
    transaction: (healthy) => (work) =>
      healthy.transaction((tx) =>
        work({
          ...tx,
          nodes: {
            ...tx.nodes,
            insert: (record) =>
              tx.nodes.insert(record).catch(() => healthy.transaction((later) => later.nodes.insert(record))),
          },
        }),
      ),
  },
  {
    fault: "skips a number",
    bites: ["event/gapless", "event/read"],
    reads: (healthy) => ({
      events: {
        ...healthy.events,
        read: async (scope, taskId, page) =>
          (await healthy.events.read(scope, taskId, page)).map((event) => ({
            ...event,
            seq: event.seq > 30 ? event.seq + 1 : event.seq,
          })),
      },
    }),
  },
  {
    fault: "shows another owner's record",
    bites: ["scope/get", "scope/owner"],
    reads: (healthy) => ({ nodes: { ...healthy.nodes, get: (_scope, id) => healthy.nodes.get(systemScope, id) } }),
    writes: (healthy) => ({ nodes: { ...healthy.nodes, update: () => Promise.resolve() } }),
  },
  {
    fault: "shows another owner's records in a list",
    bites: ["scope/list"],
    reads: (healthy) => ({
      tasks: { ...healthy.tasks, list: (_scope, filter, page) => healthy.tasks.list(systemScope, filter, page) },
    }),
  },
  {
    fault: "cuts text at a NUL",
    bites: ["value/odd-text"],
    reads: (healthy) => ({
      tasks: {
        ...healthy.tasks,
        request: async (scope, id) => {
          const asked = await healthy.tasks.request(scope, id);
          return asked && { ...asked, cwd: asked.cwd?.split("\0")[0] };
        },
      },
    }),
  },
  {
    fault: "repeats a record on the next page",
    bites: ["list/pages"],
    reads: (healthy) => ({
      nodes: {
        ...healthy.nodes,
        list: async (scope, { after, limit }) =>
          (await healthy.nodes.list(scope, { limit: 100 }))
            .filter((record) => record.nodeId >= (after ?? ""))
            .slice(0, limit),
      },
    }),
  },
  {
    fault: "takes any limit",
    bites: ["list/limit"],
    reads: (healthy) => ({
      nodes: { ...healthy.nodes, list: (scope, page) => healthy.nodes.list(scope, { ...page, limit: 10 }) },
    }),
  },
  {
    fault: "takes an idempotency key twice",
    bites: ["task/idempotency-key", "task/idempotency-race"],
    writes: (healthy) => ({
      tasks: {
        ...healthy.tasks,
        insert: (task, asked) => healthy.tasks.insert({ ...task, idempotencyKey: undefined }, asked),
      },
    }),
  },
  {
    fault: "lists tasks by the state they were inserted with",
    bites: ["task/list"],
    writes: (healthy) => ({
      tasks: { ...healthy.tasks, update: (task) => healthy.tasks.update({ ...task, state: "queued" }) },
    }),
  },
  {
    fault: "starts the numbers again after a prune",
    bites: ["feed/prune"],
    reads: (healthy) => ({ feed: { ...healthy.feed, range: async () => ({ firstSeq: 1, lastSeq: 4 }) } }),
  },
  {
    fault: "leaves the events of a removed session",
    bites: ["session/remove"],
    writes: (healthy) => ({ sessions: { ...healthy.sessions, remove: async () => true } }),
  },
  {
    fault: "answers after its close",
    bites: ["dispose/use-after"],
    close: () => () => Promise.resolve(),
  },
  {
    fault: "closes under a transaction that runs",
    bites: ["dispose/running"],
    transaction: (healthy) => async (work) => {
      await new Promise((resolve) => setImmediate(resolve));
      return healthy.transaction(work);
    },
  },
  {
    fault: "acknowledges before it is durable",
    bites: ["durable/crash"],
    options: { syncEvery: Number.POSITIVE_INFINITY },
  },
];

const ALIASED = new Map<string, Uint8Array>();

/** The store under each broken one, to crash it. */
const healthyOf = new WeakMap<HubStore, MemoryStore>();

function openBroken(fault: Fault, store: MemoryStore = createMemoryStore(fault.options)): HubStore {
  const readsOf = (healthy: StoreReads): Partial<StoreReads> => fault.reads?.(healthy) ?? {};
  const transaction = fault.transaction?.(store) ?? ((work) => store.transaction(work));
  const close = fault.close?.(store) ?? (() => store.close());
  const broken: HubStore = {
    ...store,
    ...readsOf(store),
    capabilities: { durable: true, shared: false },
    transaction: (work) =>
      transaction((tx) => {
        const withReads = mergeParts(tx, readsOf(tx) as Partial<StoreTransaction>);
        return work(mergeParts(withReads, fault.writes?.(tx) ?? {}));
      }),
    close,
    [Symbol.asyncDispose]: close,
  };
  healthyOf.set(broken, store);
  return broken;
}

/** Puts the parts in, and keeps the writes of a part of which only the reads were replaced. */
function mergeParts(healthy: StoreTransaction, parts: Partial<StoreTransaction>): StoreTransaction {
  const merged = Object.entries(parts).map(([name, part]) => [
    name,
    { ...healthy[name as keyof StoreTransaction], ...part },
  ]);
  return { ...healthy, ...(Object.fromEntries(merged) as Partial<StoreTransaction>) };
}

async function forceUpdate(tx: StoreTransaction, record: NodeRecord): Promise<void> {
  const stored = await tx.nodes.get(systemScope, record.nodeId);
  if (stored) await tx.nodes.update({ ...record, revision: stored.revision + 1 });
}

async function runAndForget<T>(store: HubStore, work: (tx: StoreTransaction) => Promise<T>): Promise<T> {
  const results: T[] = [];
  await store
    .transaction(async (tx) => {
      results.push(await work(tx));
      throw new Error("forgotten");
    })
    .catch(() => undefined);
  return results[0] as T;
}

function caseIds(fault: Fault): { id: string; run: () => Promise<void> }[] {
  const claims: HubStoreClaims = {
    durable: true,
    shared: false,
    reopen: async (store) => openBroken(fault, healthyOf.get(store)!.crash()),
  };
  return hubStoreConformance(async () => openBroken(fault), claims).map(({ name, run }) => ({
    id: name.split(":")[0]!,
    run,
  }));
}

describe("P5: the store's conformance suite bites", () => {
  it("passes a store without a fault through the same wrapper", async () => {
    for (const { run } of caseIds({ fault: "none", bites: [] })) await run();
  });

  it.each(FAULTS.flatMap((fault) => fault.bites.map((id) => ({ fault, id, title: fault.fault }))))(
    "a store that $title fails $id",
    async ({ fault, id }) => {
      ALIASED.clear();
      const found = caseIds(fault).find((candidate) => candidate.id === id);
      await expect(found?.run()).rejects.toThrow();
    },
  );

  it("refuses a claim without the means to try it", () => {
    const open = async (): Promise<HubStore> => createMemoryStore();
    expect(() => hubStoreConformance(open, { durable: true, shared: false })).toThrow(TypeError);
    expect(() => hubStoreConformance(open, { durable: false, shared: true })).toThrow(TypeError);
  });
});
