/** S7, and what the claims `durable` and `shared` promise. */
import assert from "node:assert/strict";
import { systemScope } from "../access/scope.js";
import type { StoreCase } from "./conformance-case.js";
import {
  ALICE,
  assertRefused,
  assertSame,
  event,
  insertTask,
  node,
  nodeId,
  request,
  task,
  taskId,
  user,
} from "./sample-records.js";

/** Cases about the end of a store, and of what comes after it. */
export const lifecycleCases: readonly StoreCase[] = [
  {
    name: "dispose/twice: closing and disposing again, also at once, is harmless",
    run: async (store) => {
      await Promise.all([store.close(), store.close(), store[Symbol.asyncDispose]()]);
      await store[Symbol.asyncDispose]();
    },
  },
  {
    name: "dispose/use-after: every call after the close is refused",
    run: async (store) => {
      await store.close();
      await assertRefused(store.nodes.get(systemScope, nodeId(1)), "UNAVAILABLE");
      await assertRefused(store.tasks.list(systemScope, {}, { limit: 1 }), "UNAVAILABLE");
      await assertRefused(store.feed.range(ALICE), "UNAVAILABLE");
      await assertRefused(store.keys.get("key"), "UNAVAILABLE");
      await assertRefused(
        store.transaction(() => Promise.resolve()),
        "UNAVAILABLE",
      );
    },
  },
  {
    name: "dispose/running: a transaction that was accepted before the close settles before the close does",
    run: async (store) => {
      const settled: string[] = [];
      const running = store.transaction((tx) => tx.nodes.insert(node(1))).then(() => settled.push("transaction"));
      const closing = store.close().then(() => settled.push("close"));
      await Promise.all([running, closing]);
      assert.deepEqual(settled, ["transaction", "close"]);
    },
  },
  {
    name: "durable/crash: everything that was acknowledged outlives a crash",
    needs: "durable",
    run: async (store, { reopen }) => {
      await store.transaction(async (tx) => {
        await tx.users.insert(user(ALICE));
        await tx.nodes.insert(node(1));
        await tx.keys.set("key", new Uint8Array([1, 2]));
        await tx.feed.append(ALICE, [{ kind: "n", atMs: 1, data: {} }]);
      });
      await insertTask(store, task(1, { idempotencyKey: "key" }));
      await store.transaction((tx) =>
        tx.tasks.update(task(1, { revision: 2, state: "leased", idempotencyKey: "key" })),
      );
      await store.transaction((tx) => tx.events.append(taskId(1), [event(1)]));
      await using after = await reopen(store);
      assertSame(await after.users.get(ALICE), user(ALICE));
      assertSame(await after.nodes.get(systemScope, nodeId(1)), node(1));
      assert.deepEqual(await after.keys.get("key"), new Uint8Array([1, 2]));
      assertSame(
        await after.tasks.byIdempotencyKey(ALICE, "key"),
        task(1, { revision: 2, state: "leased", idempotencyKey: "key" }),
      );
      assertSame(await after.tasks.request(systemScope, taskId(1)), request());
      assert.equal(await after.transaction((tx) => tx.events.append(taskId(1), [event(2)])), 2);
      assert.equal(await after.transaction((tx) => tx.feed.append(ALICE, [{ kind: "n", atMs: 1, data: {} }])), 2);
    },
  },
  {
    name: "durable/open-work: a transaction that had not committed leaves nothing after a crash",
    needs: "durable",
    run: async (store, { reopen }) => {
      const entered = deferred();
      const never = deferred();
      const running = store.transaction(async (tx) => {
        await tx.nodes.insert(node(1));
        entered.resolve();
        await never.promise;
      });
      await entered.promise;
      await using after = await reopen(store);
      assert.equal(await after.nodes.get(systemScope, nodeId(1)), undefined);
      never.resolve();
      // What becomes of it in the store that crashed is no promise; only that it is over.
      await running.catch(() => undefined);
    },
  },
  {
    name: "shared/two-handles: two handles see each other's writes and compare the same revisions",
    needs: "shared",
    run: async (store, { openSecond }) => {
      await using second = await openSecond(store);
      await store.transaction((tx) => tx.nodes.insert(node(1)));
      assertSame(await second.nodes.get(systemScope, nodeId(1)), node(1));
      const update = { ...node(1), revision: 2 };
      const results = await Promise.allSettled(
        [store, second].map((handle) => handle.transaction((tx) => tx.nodes.update(update))),
      );
      assert.equal(results.filter(({ status }) => status === "fulfilled").length, 1);
    },
  },
];

interface Deferred {
  readonly promise: Promise<void>;
  resolve(): void;
}

function deferred(): Deferred {
  let settle = (): void => undefined;
  const promise = new Promise<void>((resolve) => {
    settle = resolve;
  });
  return { promise, resolve: () => settle() };
}
