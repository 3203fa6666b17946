/** Tasks, their events and output, the feed. */
import assert from "node:assert/strict";
import type { TaskId } from "@cortex-mesh/protocol";
import { systemScope } from "../access/scope.js";
import type { TaskState } from "../store/records.js";
import type { HubStore, TaskFilter } from "../store/store.js";
import type { StoreCase } from "./conformance-case.js";
import {
  ALICE,
  assertRefused,
  assertSame,
  BOB,
  event,
  insertTask,
  nodeId,
  request,
  session,
  sessionId,
  task,
  taskId,
} from "./sample-records.js";

/** Cases about tasks and the logs that grow with them. */
export const taskCases: readonly StoreCase[] = [
  {
    name: "task/idempotency-key: a key of an owner is used once, and not at all when its task is refused",
    run: async (store) => {
      await insertTask(store, task(1, { idempotencyKey: "key" }));
      await assertRefused(insertTask(store, task(2, { idempotencyKey: "key" })), "REVISION_CONFLICT");
      assert.equal(await store.tasks.get(systemScope, taskId(2)), undefined);
      assert.equal(await store.tasks.request(systemScope, taskId(2)), undefined);
      await insertTask(store, task(3, { idempotencyKey: "key", ownerId: BOB }));
      await insertTask(store, task(4));
      await insertTask(store, task(5));
      assert.equal((await store.tasks.byIdempotencyKey(ALICE, "key"))?.taskId, taskId(1));
      assert.equal((await store.tasks.byIdempotencyKey(BOB, "key"))?.taskId, taskId(3));
      assert.equal(await store.tasks.byIdempotencyKey(ALICE, "other"), undefined);
    },
  },
  {
    name: "task/idempotency-race: of N inserts with one key at once exactly one is stored",
    run: async (store) => {
      const tries = Array.from({ length: 16 }, (_, n) => insertTask(store, task(n, { idempotencyKey: "key" })));
      const results = await Promise.allSettled(tries);
      assert.equal(results.filter(({ status }) => status === "fulfilled").length, 1);
      assert.equal((await store.tasks.list(systemScope, {}, { limit: 100 })).length, 1);
    },
  },
  {
    name: "task/list: the conditions of a filter hold together, and follow the newest revision",
    run: async (store) => {
      await insertTask(store, task(1));
      await insertTask(store, task(2, { state: "running", nodeId: nodeId(1) }));
      await insertTask(store, task(3, { state: "running", nodeId: nodeId(2) }));
      await insertTask(store, task(4, { state: "succeeded", nodeId: nodeId(1), sessionId: sessionId(2) }));
      const list = lister(store);
      assert.deepEqual(await list({}), [1, 2, 3, 4].map(taskId));
      assert.deepEqual(await list({ states: ["queued", "running"] }), [1, 2, 3].map(taskId));
      assert.deepEqual(await list({ states: ["running", "succeeded"], nodeId: nodeId(1) }), [2, 4].map(taskId));
      assert.deepEqual(await list({ sessionId: sessionId(2) }), [taskId(4)]);
      assert.deepEqual(await list({ sessionId: sessionId(1), nodeId: nodeId(2), states: ["running"] }), [taskId(3)]);
      assert.deepEqual(await list({ states: [] }), []);
      await store.transaction((tx) => tx.tasks.update(task(3, { revision: 2, state: "failed", nodeId: nodeId(1) })));
      assert.deepEqual(await list({ nodeId: nodeId(1), states: ["failed"] }), [taskId(3)]);
      assert.deepEqual(await list({ states: ["running"] }), [taskId(2)]);
    },
  },
  {
    name: "task/all-states: a task is listed under its state and no other",
    run: async (store) => {
      for (const [n, state] of ALL_STATES.entries()) await insertTask(store, task(n, { state }));
      for (const [n, state] of ALL_STATES.entries())
        assert.deepEqual(await lister(store)({ states: [state] }), [taskId(n)]);
      assert.equal((await lister(store)({ states: ALL_STATES })).length, ALL_STATES.length);
    },
  },
  {
    name: "event/gapless: events appended at once are numbered from 1 without gaps, in the order of their append",
    run: async (store) => {
      await insertTask(store, task(1));
      const appends = Array.from({ length: 40 }, async (_, n) => {
        const first = await store.transaction(async (tx) => {
          const seq = await tx.events.append(taskId(1), [event(n), event(n)]);
          if (n % 5 === 4) throw new Error("undone");
          return seq;
        });
        return { n, first };
      });
      const done = (await Promise.allSettled(appends)).flatMap((result) =>
        result.status === "fulfilled" ? [result.value] : [],
      );
      assert.equal(done.length, 32);
      const events = await store.events.read(systemScope, taskId(1), { afterSeq: 0, limit: 1000 });
      assert.deepEqual(
        events.map(({ seq }) => seq),
        Array.from({ length: 64 }, (_, index) => index + 1),
      );
      for (const { n, first } of done) {
        assertSame(events.slice(first - 1, first + 1), [
          { ...event(n), seq: first },
          { ...event(n), seq: first + 1 },
        ]);
      }
      assert.equal((await store.events.output(systemScope, taskId(1)))?.lastSeq, 64);
    },
  },
  {
    name: "event/read: a read goes on after a number, also over the border of what the transaction itself wrote",
    run: async (store) => {
      await insertTask(store, task(1));
      const many = Array.from({ length: 100 }, (_, n) => event(n + 1));
      await store.transaction((tx) => tx.events.append(taskId(1), many));
      await store.transaction(async (tx) => {
        assert.equal(await tx.events.append(taskId(1), [event(101), event(102)]), 101);
        assert.deepEqual(
          (await tx.events.read(systemScope, taskId(1), { afterSeq: 98, limit: 3 })).map(({ seq }) => seq),
          [99, 100, 101],
        );
        assert.deepEqual(
          (await tx.events.read(systemScope, taskId(1), { afterSeq: 101, limit: 3 })).map(({ seq }) => seq),
          [102],
        );
      });
      assertSame(await store.events.read(systemScope, taskId(1), { afterSeq: 32, limit: 1 }), [
        { ...event(33), seq: 33 },
      ]);
      assert.deepEqual(await store.events.read(systemScope, taskId(1), { afterSeq: 102, limit: 9 }), []);
    },
  },
  {
    name: "event/output: the output record keeps its last number, and an unknown task has none",
    run: async (store) => {
      await insertTask(store, task(1));
      assertSame(await store.events.output(systemScope, taskId(1)), {
        taskId: taskId(1),
        lastSeq: 0,
        stdoutBytes: 0,
        stderrBytes: 0,
        attempt: 0,
        originSeq: 0,
        hasGap: false,
        complete: false,
      });
      const output = {
        taskId: taskId(1),
        stdoutBytes: 10,
        stderrBytes: 2 ** 40,
        attempt: 2,
        originSeq: 5,
        hasGap: true,
        complete: true,
      };
      await store.transaction(async (tx) => {
        await tx.events.append(taskId(1), [{ kind: "stdout", atMs: 1, data: null, offset: 2 ** 40, length: 10 }]);
        await tx.events.setOutput(output);
      });
      assertSame(await store.events.output(systemScope, taskId(1)), { ...output, lastSeq: 1 });
      const [read] = await store.events.read(systemScope, taskId(1), { afterSeq: 0, limit: 9 });
      assertSame(read, { seq: 1, kind: "stdout", atMs: 1, data: null, offset: 2 ** 40, length: 10 });
      assert.equal(await store.events.output(systemScope, taskId(2)), undefined);
      await assertRefused(
        store.transaction((tx) => tx.events.append(taskId(2), [event(1)])),
        "NOT_FOUND",
      );
      await assertRefused(
        store.transaction((tx) => tx.events.setOutput({ ...output, taskId: taskId(2) })),
        "NOT_FOUND",
      );
    },
  },
  {
    name: "feed/numbers: each user's feed is numbered by itself, from 1 without gaps, also when transactions fail",
    run: async (store) => {
      const append = (userId: typeof ALICE, n: number) =>
        store.transaction(async (tx) => {
          await tx.feed.append(userId, [{ kind: "n", atMs: n, data: { n } }]);
          if (n % 3 === 2) throw new Error("undone");
        });
      await Promise.allSettled([0, 1, 2, 3, 4, 5].flatMap((n) => [append(ALICE, n), append(BOB, n)]));
      for (const userId of [ALICE, BOB]) {
        const events = await store.feed.read(userId, { afterSeq: 0, limit: 100 });
        assertSame(
          events,
          [0, 1, 3, 4].map((n, index) => ({ seq: index + 1, kind: "n", atMs: n, data: { n } })),
        );
        assert.deepEqual({ ...(await store.feed.range(userId)) }, { firstSeq: 1, lastSeq: 4 });
      }
      assert.deepEqual(
        (await store.feed.read(ALICE, { afterSeq: 2, limit: 1 })).map(({ seq }) => seq),
        [3],
      );
    },
  },
  {
    name: "feed/prune: the oldest events go, numbers go on, and pruning less than there is changes nothing",
    run: async (store) => {
      const events = Array.from({ length: 10 }, (_, n) => ({ kind: "n", atMs: n, data: { n } }));
      await store.transaction((tx) => tx.feed.append(ALICE, events));
      await store.transaction((tx) => tx.feed.prune(ALICE, 4));
      assert.deepEqual({ ...(await store.feed.range(ALICE)) }, { firstSeq: 7, lastSeq: 10 });
      assert.deepEqual(
        (await store.feed.read(ALICE, { afterSeq: 0, limit: 100 })).map(({ seq }) => seq),
        [7, 8, 9, 10],
      );
      await store.transaction((tx) => tx.feed.prune(ALICE, 5));
      assert.deepEqual({ ...(await store.feed.range(ALICE)) }, { firstSeq: 7, lastSeq: 10 });
      await store.transaction((tx) => tx.feed.prune(ALICE, 0));
      assert.deepEqual({ ...(await store.feed.range(ALICE)) }, { firstSeq: 11, lastSeq: 10 });
      assert.equal(await store.transaction((tx) => tx.feed.append(ALICE, events.slice(0, 1))), 11);
    },
  },
  {
    name: "session/remove: a session goes with its tasks, their requests, events, output and keys, and with nothing else",
    run: async (store) => {
      await store.transaction(async (tx) => {
        for (const n of [1, 2]) {
          await tx.sessions.insert(session(n));
          await tx.tasks.insert(task(n, { sessionId: sessionId(n), idempotencyKey: `key ${n}` }), request());
          await tx.events.append(taskId(n), [event(n)]);
        }
      });
      assert.equal(await store.transaction((tx) => tx.sessions.remove(sessionId(1))), true);
      assert.equal(await store.transaction((tx) => tx.sessions.remove(sessionId(1))), false);
      assert.deepEqual(await traces(store, 1), {
        session: false,
        task: false,
        request: false,
        output: false,
        events: 0,
        key: false,
      });
      assert.deepEqual(await traces(store, 2), {
        session: true,
        task: true,
        request: true,
        output: true,
        events: 1,
        key: true,
      });
      await insertTask(store, task(1));
      assert.equal((await traces(store, 1)).events, 0);
    },
  },
];

const ALL_STATES: readonly TaskState[] = [
  "queued",
  "leased",
  "running",
  "succeeded",
  "failed",
  "cancelled",
  "timed_out",
  "rejected",
  "indeterminate",
];

function lister(store: HubStore): (filter: TaskFilter) => Promise<TaskId[]> {
  return async (filter) => (await store.tasks.list(systemScope, filter, { limit: 100 })).map((record) => record.taskId);
}

async function traces(store: HubStore, n: number) {
  return {
    session: (await store.sessions.get(systemScope, sessionId(n))) !== undefined,
    task: (await store.tasks.get(systemScope, taskId(n))) !== undefined,
    request: (await store.tasks.request(systemScope, taskId(n))) !== undefined,
    output: (await store.events.output(systemScope, taskId(n))) !== undefined,
    events: (await store.events.read(systemScope, taskId(n), { afterSeq: 0, limit: 10 })).length,
    key: (await store.tasks.byIdempotencyKey(ALICE, `key ${n}`)) !== undefined,
  };
}
