/** What makes two dispatches the same, and that the same one is accepted once: on each store, also over a crash. */
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { type NodeId, type SessionId, systemClock, systemIds } from "@cortex-mesh/protocol";
import { createMemoryStore } from "../../src/store/memory/memory-store.js";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.js";
import type { HubStore } from "../../src/store/store.js";
import { createTaskWriter } from "../../src/tasks/commit.js";
import { submitTask } from "../../src/tasks/submit.js";
import type { SubmitRequest, Submitted } from "../../src/tasks/task-service.js";
import { createLocalWake } from "../../src/wake/local.js";
import { alice, type Mesh, openMesh } from "../support/open-mesh.js";
import { openStoreDirectory } from "../support/open-store-directory.js";
import { NODE_ID, nodeRecord, requestRecord, SESSION_ID } from "../support/task-record.js";
import { turns } from "../support/until.js";

const AT_ONCE = 200;

const dispatch = (changes: Partial<SubmitRequest> = {}): SubmitRequest => ({
  ...requestRecord(),
  sessionId: SESSION_ID,
  effect: undefined,
  idempotencyKey: "k",
  ...changes,
});

/** A hub's part that accepts dispatches, on a store with one node in one session. */
async function openSubmit(store: HubStore): Promise<(request: SubmitRequest) => Promise<Submitted>> {
  if ((await store.sessions.get(alice.scope, SESSION_ID)) === undefined) {
    await store.transaction(async (tx) => {
      await tx.nodes.insert(nodeRecord());
      const nodes = [{ nodeId: NODE_ID, path: "w", attachedAtMs: 1 }];
      const session = {
        sessionId: SESSION_ID,
        revision: 1,
        ownerId: alice.userId,
        name: "s",
        status: "active",
      } as const;
      await tx.sessions.insert({ ...session, nodes, parentId: undefined, createdAtMs: 1 });
    });
  }
  const writer = createTaskWriter({ store, wake: createLocalWake(), clock: systemClock });
  const options = { store, writer, ids: systemIds, nowMs: () => systemClock.nowMs() };
  return (request) => submitTask(options, alice, request);
}

describe.each(["memory", "sqlite"] as const)("one key on a store in %s", (kind) => {
  const directory = openStoreDirectory();
  let file: string;
  let store: HubStore;
  beforeEach(async () => {
    file = directory.newFile();
    store = kind === "memory" ? createMemoryStore() : await openSqliteStore({ path: file });
  });
  afterEach(() => store.close());
  afterAll(() => directory.remove());

  it(`E5: ${AT_ONCE} dispatches at once are one task, and ${AT_ONCE} after a crash are that task`, async () => {
    const submit = await openSubmit(store);
    const all = await Promise.all(Array.from({ length: AT_ONCE }, () => submit(dispatch())));
    expect(all.filter(({ isRepeat }) => !isRepeat)).toHaveLength(1);
    const taskIds = new Set(all.map(({ task }) => task.taskId));
    expect(taskIds.size).toBe(1);
    expect(await store.tasks.list(alice.scope, {}, { limit: 10 })).toHaveLength(1);

    const crashed =
      kind === "memory"
        ? (store as ReturnType<typeof createMemoryStore>).crash()
        : await openSqliteStore({ path: directory.crashImage(file) });
    const again = await openSubmit(crashed);
    const repeats = await Promise.all(Array.from({ length: AT_ONCE }, () => again(dispatch())));
    expect(repeats.every(({ isRepeat, task }) => isRepeat && taskIds.has(task.taskId))).toBe(true);
    await crashed.close();
  });

  it("E5: different requests with it at once: one is accepted, the others are told of the conflict", async () => {
    const submit = await openSubmit(store);
    const requests = Array.from({ length: AT_ONCE }, (_, index) =>
      dispatch({ input: { command: `echo ${index % 2}` } }),
    );
    const all = await Promise.allSettled(requests.map(submit));
    const accepted = all.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    expect(accepted).toHaveLength(AT_ONCE / 2);
    expect(new Set(accepted.map(({ task }) => task.taskId)).size).toBe(1);
    for (const result of all) {
      if (result.status === "rejected") expect(result.reason).toMatchObject({ code: "IDEMPOTENCY_CONFLICT" });
    }
  });
});

describe("what makes a request another one", () => {
  let submit: (request: SubmitRequest) => Promise<Submitted>;
  let store: HubStore;
  const base = {
    input: { command: "x", nested: { a: 1, b: [1, 2] } },
    env: { A: "1", B: "2" },
    requires: { os: "linux", labels: {} },
  };
  beforeEach(async () => {
    store = createMemoryStore();
    submit = await openSubmit(store);
    await submit(dispatch(base));
  });
  afterEach(() => store.close());

  const others: readonly (readonly [string, Partial<SubmitRequest>])[] = [
    ["skill", { skill: "echo" }],
    ["input", { input: { command: "x", nested: { a: 1, b: [2, 1] } } }],
    ["nodeId", { nodeId: NODE_ID }],
    ["requires", { requires: { os: "linux" } }],
    ["cwd", { cwd: "sub" }],
    ["env", { env: { A: "1" } }],
    ["secrets", { secrets: ["S"] }],
    ["stdin", { stdin: true }],
    ["pty", { pty: { columns: 80, rows: 24 } }],
    ["timeoutMs", { timeoutMs: 1 }],
    ["queueTimeoutMs", { queueTimeoutMs: 1 }],
    ["effect", { effect: "idempotent" }],
    ["sandbox", { sandbox: { level: "none" } }],
    ["sessionId", { sessionId: "ses_01J00000000000000000000009" as SessionId }],
  ];
  it.each(others)("E5: another %s", async (_field, changes) => {
    await expect(submit(dispatch({ ...base, ...changes }))).rejects.toMatchObject({ code: "IDEMPOTENCY_CONFLICT" });
  });

  it("E5: every field of a request is among them", () => {
    const fields = new Set([...others.map(([field]) => field), "idempotencyKey", "traceparent"]);
    expect([...fields].sort()).toEqual(Object.keys(dispatch()).sort());
  });

  it.each<readonly [string, Partial<SubmitRequest>]>([
    ["the order of keys", { env: { B: "2", A: "1" }, input: { nested: { b: [1, 2], a: 1 }, command: "x" } }],
    ["an effect that is the default", { effect: "once" }],
    ["its trace", { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" }],
  ])("E5: not %s", async (_what, changes) => {
    expect(await submit(dispatch({ ...base, ...changes }))).toMatchObject({ isRepeat: true });
  });
});

describe("how long a key is kept", () => {
  let mesh: Mesh;
  let nodeId: NodeId;
  beforeEach(async () => {
    mesh = await openMesh();
    nodeId = await mesh.addNode();
  });

  it("E5: as long as its task, also after that ended; a session that is deleted takes both along", async () => {
    const sessionId = await mesh.addSession([nodeId]);
    const request = dispatch({ sessionId });
    const { task } = await mesh.services.tasks.submit(alice, request);
    await mesh.services.tasks.cancel(alice, task.taskId);
    await mesh.clock.advance(30 * 24 * 60 * 60_000);
    expect(await mesh.services.tasks.submit(alice, request)).toMatchObject({
      isRepeat: true,
      task: { taskId: task.taskId },
    });
    const removed = mesh.services.sessions.remove(alice, sessionId);
    await turns();
    await removed;
    const other = await mesh.addSession([nodeId]);
    const next = await mesh.services.tasks.submit(alice, dispatch({ sessionId: other }));
    expect(next.isRepeat).toBe(false);
  });
});
