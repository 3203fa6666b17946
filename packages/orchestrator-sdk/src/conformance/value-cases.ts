/** S4 to S6: values are copies and come back as they were, scopes hide, lists go on where they stopped. */
import assert from "node:assert/strict";
import type { UserId } from "@cortex-mesh/protocol";
import { systemScope, userScope } from "../access/scope.js";
import type { Json } from "../store/records.js";
import type { StoreCase } from "./conformance-case.js";
import {
  ALICE,
  assertSame,
  BOB,
  event,
  insertTask,
  invite,
  inviteId,
  node,
  nodeId,
  request,
  session,
  sessionId,
  task,
  taskId,
  user,
} from "./sample-records.js";

/** Text that is easily lost on the way to a disk and back. */
const ODD_TEXTS: readonly string[] = [
  "",
  " ",
  "\0",
  "a\0b",
  "quote \" and ' and ` and \\",
  "'; drop table tasks; --",
  "line\r\nbreak\ttab",
  "größe 漢字 🙂 e\u0301",
  "\u2028\u2029\ufeff",
  "lone \ud800 surrogate",
  "%_*?",
  "null",
];

/** Cases about values, scopes and lists. */
export const valueCases: readonly StoreCase[] = [
  {
    name: "value/roundtrip: every record comes back as it was stored",
    run: async (store) => {
      await store.transaction(async (tx) => {
        await tx.users.insert(user(BOB));
        await tx.invites.insert(invite(1));
        await tx.nodes.insert(node(1));
        await tx.sessions.insert(session(1));
        await tx.tasks.insert(task(1), request());
      });
      assertSame(await store.users.get(BOB), user(BOB));
      assertSame(await store.users.byToken(user(BOB).tokenSha256), user(BOB));
      assertSame(await store.invites.get(systemScope, inviteId(1)), invite(1));
      assertSame(await store.nodes.get(systemScope, nodeId(1)), node(1));
      assertSame(await store.sessions.get(systemScope, sessionId(1)), session(1));
      assertSame(await store.tasks.get(systemScope, taskId(1)), task(1));
      assertSame(await store.tasks.request(systemScope, taskId(1)), request());
    },
  },
  {
    name: "value/copies-out: changing a record that was read changes nothing in the store",
    run: async (store) => {
      await store.transaction((tx) => tx.nodes.insert(node(1)));
      for (const read of [
        await store.nodes.get(systemScope, nodeId(1)),
        (await store.nodes.list(systemScope, { limit: 1 }))[0],
      ]) {
        tamper(() => ((read as { name: string }).name = "tampered"));
        tamper(() => ((read as { labels: Record<string, string> }).labels["os"] = "tampered"));
      }
      assertSame(await store.nodes.get(systemScope, nodeId(1)), node(1));
      await store.transaction((tx) => tx.keys.set("key", new Uint8Array([1])));
      (await store.keys.get("key"))?.fill(9);
      assert.deepEqual(await store.keys.get("key"), new Uint8Array([1]));
    },
  },
  {
    name: "value/copies-in: changing a record after it was written changes nothing in the store",
    run: async (store) => {
      const labels: Record<string, string> = { os: "linux" };
      const bytes = new Uint8Array([1]);
      await store.transaction(async (tx) => {
        await tx.nodes.insert({ ...node(1), labels });
        await tx.keys.set("key", bytes);
      });
      labels["os"] = "tampered";
      bytes.fill(9);
      assert.deepEqual({ ...(await store.nodes.get(systemScope, nodeId(1)))?.labels }, { os: "linux" });
      assert.deepEqual(await store.keys.get("key"), new Uint8Array([1]));
    },
  },
  {
    name: "value/odd-text: empty, unicode, quotes, NUL and lone surrogates come back as they were",
    run: async (store) => {
      for (const [n, text] of ODD_TEXTS.entries()) {
        const record = task(n, { idempotencyKey: text, value: { [text]: text }, notes: [{ atMs: 1, text }] });
        const asked = request({ input: [text], env: { NAME: text }, cwd: text, secrets: [text] });
        await insertTask(store, record, asked);
        await store.transaction(async (tx) => {
          await tx.events.append(taskId(n), [{ ...event(n), data: text }]);
          await tx.keys.set(text, new Uint8Array([n]));
        });
        assertSame(await store.tasks.get(systemScope, taskId(n)), record);
        assertSame(await store.tasks.request(systemScope, taskId(n)), asked);
        assertSame(await store.tasks.byIdempotencyKey(ALICE, text), record);
        assert.equal((await store.events.read(systemScope, taskId(n), { afterSeq: 0, limit: 1 }))[0]?.data, text);
      }
      for (const [n, text] of ODD_TEXTS.entries()) assert.deepEqual(await store.keys.get(text), new Uint8Array([n]));
    },
  },
  {
    name: "value/large: an input of 256 KiB, deep and wide JSON, all byte values and large integers come back as they were",
    run: async (store) => {
      const deep = Array.from({ length: 200 }).reduce<Json>((inner) => ({ inner }), "core");
      const wide = Object.fromEntries(
        Array.from({ length: 2000 }, (_, n) => [`key ${n}`, [n, -1 - n / 3, n % 2 === 0, null]]),
      );
      const record = task(1, {
        createdAtMs: Number.MAX_SAFE_INTEGER,
        value: { deep, wide, small: 5e-324, big: 1.7976931348623157e308 },
      });
      const asked = request({ input: "x\u00e9".repeat(128 * 1024) });
      const bytes = Uint8Array.from({ length: 256 }, (_, n) => n);
      await insertTask(store, record, asked);
      await store.transaction(async (tx) => {
        await tx.keys.set("bytes", bytes);
        await tx.keys.set("empty", new Uint8Array());
      });
      assertSame(await store.tasks.get(systemScope, taskId(1)), record);
      assertSame(await store.tasks.request(systemScope, taskId(1)), asked);
      assert.deepEqual(await store.keys.get("bytes"), bytes);
      assert.deepEqual(await store.keys.get("empty"), new Uint8Array());
    },
  },
  {
    name: "scope/get: somebody else's record is undefined, not an error",
    run: async (store) => {
      await store.transaction(async (tx) => {
        await tx.invites.insert(invite(1));
        await tx.nodes.insert(node(1));
        await tx.sessions.insert(session(1));
        await tx.tasks.insert(task(1), request());
        await tx.events.append(taskId(1), [event(1)]);
      });
      const visible = async (userId: UserId) => {
        const scope = userScope(userId);
        return [
          await store.invites.get(scope, inviteId(1)),
          await store.nodes.get(scope, nodeId(1)),
          await store.sessions.get(scope, sessionId(1)),
          await store.tasks.get(scope, taskId(1)),
          await store.tasks.request(scope, taskId(1)),
          await store.events.output(scope, taskId(1)),
          (await store.events.read(scope, taskId(1), { afterSeq: 0, limit: 10 }))[0],
        ].filter((record) => record !== undefined).length;
      };
      assert.equal(await visible(ALICE), 7);
      assert.equal(await visible(BOB), 0);
    },
  },
  {
    name: "scope/list: a list holds the scope's own records, and a page of them is full",
    run: async (store) => {
      await store.transaction(async (tx) => {
        for (let n = 1; n <= 8; n++) {
          const ownerId = n % 2 === 0 ? BOB : ALICE;
          await tx.invites.insert(invite(n, ownerId));
          await tx.nodes.insert(node(n, ownerId));
          await tx.sessions.insert(session(n, ownerId));
          await tx.tasks.insert(task(n, { ownerId }), request());
        }
      });
      const scope = userScope(BOB);
      const page = { limit: 3 };
      assert.deepEqual(
        (await store.invites.list(scope, page)).map((record) => record.inviteId),
        [2, 4, 6].map(inviteId),
      );
      assert.deepEqual(
        (await store.nodes.list(scope, page)).map((record) => record.nodeId),
        [2, 4, 6].map(nodeId),
      );
      assert.deepEqual(
        (await store.sessions.list(scope, page)).map((record) => record.sessionId),
        [2, 4, 6].map(sessionId),
      );
      assert.deepEqual(
        (await store.tasks.list(scope, {}, page)).map((record) => record.taskId),
        [2, 4, 6].map(taskId),
      );
    },
  },
  {
    name: "scope/owner: an update that names another owner is refused",
    run: async (store) => {
      await store.transaction((tx) => tx.nodes.insert(node(1)));
      await assert.rejects(store.transaction((tx) => tx.nodes.update({ ...node(1, BOB), revision: 2 })));
      assert.equal(await store.nodes.get(userScope(BOB), nodeId(1)), undefined);
    },
  },
  {
    name: "list/pages: pages in id order repeat nothing and miss nothing, also while records are added",
    run: async (store) => {
      await store.transaction(async (tx) => {
        for (const n of [9, 3, 7, 1, 5]) await tx.nodes.insert(node(n));
      });
      const seen: string[] = [];
      let after: string | undefined;
      // A store that repeats records would never come to an end.
      for (let pageCount = 0; pageCount < 10; pageCount++) {
        const page = await store.nodes.list(systemScope, { after, limit: 2 });
        seen.push(...page.map((record) => record.nodeId));
        after = page.at(-1)?.nodeId;
        if (after === undefined) break;
        if (seen.length === 2) await store.transaction((tx) => tx.nodes.insert(node(0)));
      }
      assert.deepEqual(seen, [1, 3, 5, 7, 9].map(nodeId));
    },
  },
  {
    name: "list/limit: a limit that is not 1 to 1,000 is a RangeError",
    run: async (store) => {
      for (const limit of [0, -1, 1.5, 1001, Number.NaN]) {
        await assert.rejects(store.nodes.list(systemScope, { limit }), RangeError);
        await assert.rejects(store.tasks.list(systemScope, {}, { limit }), RangeError);
      }
    },
  },
  {
    name: "list/own-writes: a list inside a transaction holds what the transaction wrote, in its place",
    run: async (store) => {
      await store.transaction(async (tx) => {
        await tx.nodes.insert(node(2));
        await tx.nodes.insert(node(4));
      });
      await store.transaction(async (tx) => {
        await tx.nodes.insert(node(3));
        await tx.nodes.update({ ...node(4), revision: 2, name: "changed" });
        const names = (await tx.nodes.list(systemScope, { limit: 10 })).map((record) => record.name);
        assert.deepEqual(names, ["node 2", "node 3", "changed"]);
      });
    },
  },
];

/** Runs a change that a store may refuse by handing out frozen records. */
function tamper(change: () => unknown): void {
  try {
    change();
  } catch (error) {
    assert.ok(error instanceof TypeError);
  }
}
