/** S1 to S3: atomic, serialised, compare-and-set. */
import assert from "node:assert/strict";
import { systemScope } from "../access/scope.js";
import type { StoreTransaction } from "../store/store.js";
import type { StoreCase } from "./conformance-case.js";
import {
  ALICE,
  assertRefused,
  assertSame,
  event,
  insertTask,
  invite,
  node,
  nodeId,
  request,
  session,
  sessionId,
  task,
  taskId,
  user,
} from "./sample-records.js";

const WRITER_COUNT = 16;

/** Cases about transactions and revisions. */
export const transactionCases: readonly StoreCase[] = [
  {
    name: "transaction/visible: what a resolved transaction wrote is there for the next read, and its result is returned",
    run: async (store) => {
      const result = await store.transaction(async (tx) => {
        await tx.nodes.insert(node(1));
        assertSame(await tx.nodes.get(systemScope, nodeId(1)), node(1));
        return "result";
      });
      assert.equal(result, "result");
      assertSame(await store.nodes.get(systemScope, nodeId(1)), node(1));
    },
  },
  {
    name: "transaction/last-write: every one of many resolved transactions is there",
    run: async (store) => {
      for (let n = 1; n <= 5; n++) await store.transaction((tx) => tx.nodes.insert(node(n)));
      assert.equal((await store.nodes.list(systemScope, { limit: 100 })).length, 5);
    },
  },
  {
    name: "transaction/rollback: a work that throws leaves nothing behind, and the caller gets what it threw",
    run: async (store) => {
      await insertTask(store, task(1));
      const thrown = new Error("stop");
      const work = async (tx: StoreTransaction): Promise<void> => {
        await writeEverywhere(tx);
        throw thrown;
      };
      await assert.rejects(store.transaction(work), (error) => error === thrown);
      assert.equal(await store.nodes.get(systemScope, nodeId(1)), undefined);
      assert.equal(await store.sessions.get(systemScope, sessionId(1)), undefined);
      assert.equal(await store.users.get(ALICE), undefined);
      assert.equal(await store.keys.get("key"), undefined);
      assert.equal(await store.tasks.get(systemScope, taskId(2)), undefined);
      assert.equal((await store.tasks.get(systemScope, taskId(1)))?.state, "queued");
      assert.deepEqual(await store.events.read(systemScope, taskId(1), { afterSeq: 0, limit: 10 }), []);
      assert.deepEqual(await store.feed.range(ALICE), { firstSeq: 1, lastSeq: 0 });
    },
  },
  {
    name: "transaction/neighbour: a work that throws takes nothing from those that run beside it",
    run: async (store) => {
      const results = await Promise.allSettled(
        Array.from({ length: WRITER_COUNT }, (_, n) =>
          store.transaction(async (tx) => {
            await tx.nodes.insert(node(n));
            if (n % 2 === 1) throw new Error("odd");
          }),
        ),
      );
      assert.deepEqual(
        results.map(({ status }) => status),
        results.map((_, n) => (n % 2 === 1 ? "rejected" : "fulfilled")),
      );
      const ids = (await store.nodes.list(systemScope, { limit: 100 })).map((record) => record.nodeId);
      assert.deepEqual(
        ids,
        results.flatMap((_, n) => (n % 2 === 1 ? [] : [nodeId(n)])),
      );
    },
  },
  {
    name: "transaction/serial: of N read-modify-writes at once none is lost",
    run: async (store) => {
      await store.transaction((tx) => tx.keys.set("count", new Uint8Array([0])));
      await Promise.all(
        Array.from({ length: WRITER_COUNT }, () =>
          store.transaction(async (tx) => {
            const before = (await tx.keys.get("count"))?.[0] ?? 0;
            await tx.keys.set("count", new Uint8Array([before + 1]));
          }),
        ),
      );
      assert.deepEqual(await store.keys.get("count"), new Uint8Array([WRITER_COUNT]));
    },
  },
  {
    name: "transaction/isolated: a read outside does not see what is not committed",
    run: async (store) => {
      await store.transaction(async (tx) => {
        await tx.nodes.insert(node(1));
        assert.equal(await store.nodes.get(systemScope, nodeId(1)), undefined);
      });
      assert.equal((await store.nodes.list(systemScope, { limit: 1 })).length, 1);
    },
  },
  {
    name: "transaction/ended: a call on a transaction whose work settled is refused and changes nothing",
    run: async (store) => {
      const tx = await store.transaction((given) => Promise.resolve({ given }));
      await assertRefused(tx.given.nodes.insert(node(1)), "INTERNAL");
      assert.equal(await store.nodes.get(systemScope, nodeId(1)), undefined);
    },
  },
  {
    name: "revision/one-wins: of N compare-and-sets at once exactly one wins",
    run: async (store) => {
      await store.transaction((tx) => tx.nodes.insert(node(1)));
      const results = await Promise.allSettled(
        Array.from({ length: WRITER_COUNT }, (_, n) =>
          store.transaction((tx) => tx.nodes.update({ ...node(1), revision: 2, name: `writer ${n}` })),
        ),
      );
      const winners = results.flatMap(({ status }, n) => (status === "fulfilled" ? [n] : []));
      assert.equal(winners.length, 1);
      assert.equal((await store.nodes.get(systemScope, nodeId(1)))?.name, `writer ${winners[0]}`);
    },
  },
  {
    name: "revision/stale: a stale, skipped or unknown revision is refused and changes nothing",
    run: async (store) => {
      await store.transaction(async (tx) => {
        await tx.invites.insert(invite(1));
        await tx.sessions.insert(session(1));
        await tx.tasks.insert(task(1), request());
      });
      for (const revision of [0, 1, 3]) {
        await assertRefused(
          store.transaction((tx) => tx.invites.update({ ...invite(1), revision })),
          "REVISION_CONFLICT",
        );
        await assertRefused(
          store.transaction((tx) => tx.sessions.update({ ...session(1), revision })),
          "REVISION_CONFLICT",
        );
        await assertRefused(
          store.transaction((tx) => tx.tasks.update(task(1, { revision }))),
          "REVISION_CONFLICT",
        );
      }
      await assertRefused(
        store.transaction((tx) => tx.nodes.update({ ...node(9), revision: 2 })),
        "REVISION_CONFLICT",
      );
      assertSame(await store.invites.get(systemScope, invite(1).inviteId), invite(1));
      assertSame(await store.sessions.get(systemScope, sessionId(1)), session(1));
      assertSame(await store.tasks.get(systemScope, taskId(1)), task(1));
    },
  },
  {
    name: "revision/insert: an id that exists is refused and keeps its record",
    run: async (store) => {
      await store.transaction((tx) => tx.nodes.insert(node(1)));
      await assertRefused(
        store.transaction((tx) => tx.nodes.insert({ ...node(1), name: "other" })),
        "REVISION_CONFLICT",
      );
      assert.equal((await store.nodes.get(systemScope, nodeId(1)))?.name, "node 1");
      await store.transaction((tx) => tx.users.insert(user(ALICE)));
      await assertRefused(
        store.transaction((tx) => tx.users.insert(user(ALICE))),
        "REVISION_CONFLICT",
      );
      assert.equal(await store.transaction((tx) => tx.users.remove(ALICE)), true);
      assert.equal(await store.users.byToken(user(ALICE).tokenSha256), undefined);
    },
  },
];

async function writeEverywhere(tx: StoreTransaction): Promise<void> {
  await tx.nodes.insert(node(1));
  await tx.sessions.insert(session(1));
  await tx.users.insert(user(ALICE));
  await tx.keys.set("key", new Uint8Array([1]));
  await tx.tasks.insert(task(2), request());
  await tx.tasks.update(task(1, { revision: 2, state: "leased" }));
  await tx.events.append(taskId(1), [event(1)]);
  await tx.feed.append(ALICE, [{ kind: "task.leased", atMs: 1, data: {} }]);
}
