import { describe, expect, expectTypeOf, it } from "vitest";
import { CortexError } from "@cortex-mesh/protocol";
import type { Api } from "../../src/operations/api.js";
import { createApi } from "../../src/operations/api.js";
import type { ByteContent } from "../../src/operations/operation.js";
import type { TaskResource } from "../../src/operations/resources/task.js";
import { type Operations, operations } from "../../src/operations/table.js";
import { type countNodes, extra } from "./extra-operations.js";
import { alice, bob, openTestHub } from "./open-hub-services.js";
import { enter, WAYS_IN } from "./ways-in.js";

async function* pieces(...sizes: readonly number[]) {
  for (const size of sizes) yield new Uint8Array(size).fill(1);
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

async function readAll({ read }: ByteContent, start: number, end: number): Promise<string> {
  return Buffer.concat(await collect(read(start, end))).toString();
}

describe.each(WAYS_IN)("operations %s", (way) => {
  it("P4: operations of every kind that are added to the table are there with no other edit, also in the description", async () => {
    const hub = await enter(way, { extra });
    for (let count = 0; count < 3; count += 1) await hub.addNode(alice);
    const api = hub.as(alice);
    expect(await api.countNodes()).toEqual({ count: 3 });
    expect(await api.countNodes({ atMost: 2 })).toEqual({ count: 2 });
    const said = await api.greet({ name: "a/b ü?#%", words: ["good", "day"], isLoud: true, key: "k" });
    expect(said).toEqual({ text: "good day a/b ü?#% true k" });
    expect((await collect(api.countDown({ from: 3 }))).map(({ data }) => data.left)).toEqual([3, 2, 1, 0]);
    const content = await api.repeatText({ text: "0123456789" });
    expect([content.sizeBytes, await readAll(content, 0, 10), await readAll(content, 3, 5)]).toEqual([
      10,
      "0123456789",
      "34",
    ]);
    expect(await api.sumBytes({ start: 4, data: pieces(1, 0, 100_000) })).toEqual({ sum: 100_005 });
    const { paths } = (await (await hub.call("GET", "/openapi.json")).json()) as { paths: Record<string, unknown> };
    expect(paths).toMatchObject({
      "/nodes/count": { get: { operationId: "countNodes" } },
      "/greetings/{name}": { put: { operationId: "greet", responses: { 201: {} } } },
      "/countdowns/{from}": { get: { responses: { 200: { content: { "text/event-stream": {} } } } } },
      "/texts/{text}": { get: { responses: { 206: { content: { "application/octet-stream": {} } } } } },
      "/sums": { post: { requestBody: { content: { "application/octet-stream": {} } } } },
    });
  });

  it("P4: nodes, sessions, invites and tasks are made, read, listed and ended", async () => {
    const { as, addNode } = await enter(way);
    const api = as(alice);
    const nodeId = await addNode(alice);
    expect(await api.getNode({ nodeId })).toEqual((await api.listNodes()).items[0]);
    const invite = await api.createInvite({ name: "laptop", labels: { zone: "a" } });
    expect(await api.getInvite({ inviteId: invite.inviteId })).toMatchObject({ status: "open", labels: { zone: "a" } });
    expect(await api.revokeInvite({ inviteId: invite.inviteId })).toMatchObject({ status: "revoked" });
    const { sessionId } = await api.createSession({ name: "demo" });
    expect((await api.attachNode({ sessionId, nodeId })).nodes).toMatchObject([{ nodeId, state: "offline" }]);
    const task = await api.dispatch({ sessionId, skill: "shell", input: { argv: ["echo", "ü"] }, env: { A: "b" } });
    expect(task).toMatchObject({ state: "queued", isRepeat: false, input: { argv: ["echo", "ü"] } });
    const { isRepeat: _isRepeat, ...shown } = task;
    expect(await api.getTask({ taskId: task.taskId })).toEqual(shown);
    expect((await api.listTasks({ sessionId })).items).toEqual([shown]);
    expect(await api.explainTask({ taskId: task.taskId })).toMatchObject({
      candidates: [{ nodeId, isEligible: false }],
    });
    expect(await api.cancelTask({ taskId: task.taskId })).toMatchObject({ state: "cancelled" });
    expect((await api.detachNode({ sessionId, nodeId })).nodes).toEqual([]);
    expect(await api.deleteSession({ sessionId })).toBeUndefined();
    await expect(api.getSession({ sessionId })).rejects.toMatchObject({ code: "NOT_FOUND" });
    expect(await api.revokeNode({ nodeId })).toMatchObject({ status: "revoked" });
  });

  it("E5: the same idempotency key gives the first task again, and with another body a conflict", async () => {
    const { as, addNode, addSession } = await enter(way);
    const api = as(alice);
    const sessionId = await addSession(alice, [await addNode(alice)]);
    const send = (command: string) =>
      api.dispatch({ sessionId, skill: "shell", input: { command }, idempotencyKey: "same" });
    const answers = await Promise.all(Array.from({ length: 20 }, () => send("true")));
    expect(new Set(answers.map(({ taskId }) => taskId)).size).toBe(1);
    expect(answers.filter(({ isRepeat }) => !isRepeat)).toHaveLength(1);
    await expect(send("false")).rejects.toMatchObject({ code: "IDEMPOTENCY_CONFLICT" });
    const unkeyed = { sessionId, skill: "shell", input: { command: "true" } };
    const [one, two] = [await api.dispatch(unkeyed), await api.dispatch(unkeyed)];
    expect(one.taskId).not.toBe(two.taskId);
    expect([one.isRepeat, two.isRepeat]).toEqual([false, false]);
  });

  it("P4: lists are walked by cursor, each item once", async () => {
    const { as, addSession } = await enter(way);
    const ids: string[] = [];
    for (let count = 0; count < 5; count += 1) ids.push(await addSession(alice));
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await as(alice).listSessions({ limit: 2, cursor });
      seen.push(...page.items.map(({ sessionId }) => sessionId));
      cursor = page.nextCursor ?? undefined;
    } while (cursor !== undefined);
    expect(seen).toEqual(ids.sort());
  });

  it("P4: input is checked, with errors that name the field", async () => {
    const { as, addSession } = await enter(way);
    const api = as(alice);
    const sessionId = await addSession(alice);
    const refusals: readonly (readonly [() => Promise<unknown>, object])[] = [
      [() => api.listNodes({ limit: 0 }), { code: "BAD_REQUEST", details: { field: "limit" } }],
      [() => api.listNodes({ limit: 1001 }), { message: "limit: Too big: expected number to be <=1000" }],
      [
        () => api.dispatch({ sessionId, skill: "shell", input: { comand: "x" } }),
        { code: "BAD_REQUEST", details: { field: "input" } },
      ],
      [() => api.dispatch({ sessionId, skill: "shell", input: new Date(0) as never }), { details: { field: "input" } }],
      [
        () => api.dispatch({ sessionId, skill: "shell", input: { command: "x" }, idempotencyKey: "a\nb" }),
        { details: { field: "idempotencyKey" } },
      ],
      [() => api.getTask({ taskId: "task_x" }), { code: "NOT_FOUND" }],
      [() => api.listNodes({ lmit: 1 } as never), { code: "BAD_REQUEST", details: { field: "lmit" } }],
      [() => api.listNodes({ cursor: "xx" }), { code: "BAD_REQUEST", details: { field: "cursor" } }],
      [() => api.listNodes(null as never), { code: "BAD_REQUEST" }],
    ];
    for (const [call, refusal] of refusals) {
      const failure: unknown = await call().catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(CortexError);
      expect(failure).toMatchObject(refusal);
    }
  });

  it("I8: a name that would lead elsewhere in a path names nothing", async () => {
    const { as, addNode, addSession } = await enter(way);
    const api = as(alice);
    const sessionId = await addSession(alice);
    for (const taskId of ["", ".", "..", "../sessions", "%2e%2e", "\ud800", "a b", sessionId]) {
      await expect(api.getTask({ taskId })).rejects.toMatchObject({ code: "NOT_FOUND" });
      await expect(api.deleteSession({ sessionId: taskId === sessionId ? ".." : taskId })).rejects.toMatchObject({
        code: "NOT_FOUND",
      });
    }
    expect((await api.listSessions()).items).toHaveLength(1);
    // Without care this is DELETE /nodes/{nodeId}: the node would be revoked.
    const nodeId = await addNode(alice);
    await expect(api.detachNode({ sessionId: "..", nodeId })).rejects.toMatchObject({ code: "NOT_FOUND" });
    expect(await api.getNode({ nodeId })).toMatchObject({ status: "offline" });
  });

  it("I8: a stranger finds nothing of another user, whatever the operation", async () => {
    const { as, addNode, addSession, addTask } = await enter(way);
    const nodeId = await addNode(alice);
    const sessionId = await addSession(alice, [nodeId]);
    const taskId = await addTask(alice, sessionId);
    const { inviteId } = await as(alice).createInvite();
    const ids = { nodeId, sessionId, taskId, inviteId };
    const stranger = as(bob) as unknown as Record<
      string,
      (input: unknown) => Promise<unknown> & AsyncIterable<unknown>
    >;
    const dispatched = { skill: "shell", input: { command: "id" } };
    for (const { name, places, kind } of Object.values(operations)) {
      if (places.path.length === 0) continue;
      const more = { dispatch: dispatched, resolveTask: { state: "failed" }, writeTaskInput: { data: pieces(1) } };
      const named = name === "attachNode" ? ["sessionId", "nodeId"] : places.path;
      const input = {
        ...Object.fromEntries(named.map((field) => [field, ids[field as keyof typeof ids]])),
        ...more[name as keyof typeof more],
      };
      const result = stranger[name]!(input);
      const refused = kind === "events" ? result[Symbol.asyncIterator]().next() : result;
      await expect(refused, name).rejects.toMatchObject({ code: "NOT_FOUND" });
    }
    for (const list of ["listNodes", "listSessions", "listInvites"]) {
      expect(await stranger[list]!({})).toEqual({ items: [], nextCursor: null });
    }
  });

  it("P4: events come one by one until their end, after any number, and bytes by range", async () => {
    const { as, addNode, addSession, addTask, start, write, end } = await enter(way);
    const nodeId = await addNode(alice);
    const taskId = await addTask(alice, await addSession(alice, [nodeId]));
    const api = as(alice);
    const live = collect(api.followTask({ taskId }));
    await start(taskId, nodeId);
    await write(taskId, "stdout", "hello");
    await write(taskId, "stdout", Uint8Array.of(0xff, 0));
    await end(taskId);
    const told = (await live).map(({ event, data }) => `${data.seq} ${event} ${data.text ?? data.base64 ?? ""}`);
    expect(told).toEqual(["1 state ", "2 state ", "3 state ", "4 stdout hello", "5 stdout /wA=", "6 state "]);
    const after = async (input: object) => (await collect(api.followTask({ taskId, ...input }))).map(({ id }) => id);
    expect(await after({ after: 4 })).toEqual(["5", "6"]);
    expect(await after({ after: 1, lastEventId: 5 })).toEqual(["6"]);
    expect(await after({ after: 6 })).toEqual([]);
    const content = await api.readTaskOutput({ taskId });
    expect([content.sizeBytes, await readAll(content, 1, 5), await readAll(content, 2, 2)]).toEqual([7, "ello", ""]);
    const none = await api.readTaskOutput({ taskId, stream: "stderr" });
    expect([none.sizeBytes, await readAll(none, 0, 0)]).toEqual([0, ""]);
  });

  it("P4: what cannot be followed is refused at the first read", async () => {
    const { as, addNode, addSession, addTask } = await enter(way);
    const taskId = await addTask(alice, await addSession(alice, [await addNode(alice)]));
    const first = (caller: typeof alice, input: object) =>
      as(caller)
        .followTask({ taskId, ...input })
        [Symbol.asyncIterator]()
        .next();
    await expect(first(bob, {})).rejects.toMatchObject({ code: "NOT_FOUND" });
    await expect(first(alice, { after: 99 })).rejects.toMatchObject({ code: "BAD_REQUEST", details: { lastSeq: 1 } });
    await expect(first(alice, { after: -1 })).rejects.toMatchObject({
      code: "BAD_REQUEST",
      details: { field: "after" },
    });
    await expect(as(alice).followEvents({ after: "x" })[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      code: "BAD_REQUEST",
    });
  });

  it("P4: following ends with the caller's signal, and leaving the loop ends what was followed", async () => {
    const signals: AbortSignal[] = [];
    const { as, addNode, addSession, addTask } = await enter(way, {
      wrapTasks: (tasks) => ({
        ...tasks,
        events(caller, taskId, from) {
          if (from.signal !== undefined) signals.push(from.signal);
          return tasks.events(caller, taskId, from);
        },
      }),
    });
    const taskId = await addTask(alice, await addSession(alice, [await addNode(alice)]));
    const api = as(alice);
    for await (const _event of api.followTask({ taskId })) break;
    await expect.poll(() => signals.map(({ aborted }) => aborted)).toEqual([true]);
    const leaving = new AbortController();
    const following = collect(api.followTask({ taskId }, { signal: leaving.signal }));
    await expect.poll(() => signals.length).toBe(2);
    leaving.abort();
    expect((await following).length).toBeLessThanOrEqual(2);
    await expect.poll(() => signals.at(-1)?.aborted).toBe(true);
    expect(await collect(api.followTask({ taskId }, { signal: AbortSignal.abort() }))).toEqual([]);
  });

  it("P4: a call of a caller who withdrew is CANCELLED, and so is a read of bytes", async () => {
    const { as, addNode, addSession, addTask, start, write } = await enter(way);
    const nodeId = await addNode(alice);
    const taskId = await addTask(alice, await addSession(alice, [nodeId]));
    await start(taskId, nodeId);
    await write(taskId, "stdout", "hello");
    const leaving = new AbortController();
    const content = await as(alice).readTaskOutput({ taskId }, { signal: leaving.signal });
    leaving.abort();
    await expect(readAll(content, 0, 5)).rejects.toMatchObject({ code: "CANCELLED" });
    await expect(as(alice).listNodes({}, { signal: leaving.signal })).rejects.toMatchObject({ code: "CANCELLED" });
  });

  it("H8: the feed tells what happens from the first read on, and after a cursor all of it", async () => {
    const { as, addSession } = await enter(way);
    const api = as(alice);
    const feed = api.followEvents()[Symbol.asyncIterator]();
    let first: { readonly event: string; readonly id: string } | undefined;
    const next = feed.next().then(({ value }) => {
      first = value;
    });
    // The first read is what begins to follow; from then on each session is told.
    for (; first === undefined; await new Promise(setImmediate)) await addSession(alice);
    await next;
    expect(first).toMatchObject({ event: "session.created" });
    await addSession(alice);
    await feed.return?.();
    const kinds: string[] = [];
    for await (const { event } of api.followEvents({ after: first.id })) {
      kinds.push(event);
      break;
    }
    expect(kinds).toEqual(["session.created"]);
  });

  it("E2: bytes to a task's input are streamed: what was sent is there before the rest exists", async () => {
    const received: number[] = [];
    const { as, addNode, addSession, addTask } = await enter(way, {
      wrapTasks: (tasks) => ({
        ...tasks,
        async input(_caller, _taskId, { data, eof }) {
          for await (const chunk of data) received.push(chunk.byteLength);
          return { acceptedBytes: received.reduce((sum, size) => sum + size, eof ? 1000 : 0) };
        },
      }),
    });
    const taskId = await addTask(alice, await addSession(alice, [await addNode(alice)]));
    async function* typed() {
      yield new Uint8Array(3);
      await expect.poll(() => received).toEqual([3]);
      yield new Uint8Array(4);
    }
    expect(await as(alice).writeTaskInput({ taskId, data: typed(), eof: true })).toEqual({ acceptedBytes: 1007 });
    const failure = new Error("the terminal is gone");
    async function* broken() {
      yield new Uint8Array(1);
      throw failure;
    }
    await expect(as(alice).writeTaskInput({ taskId, data: broken() })).rejects.toBe(failure);
  });
});

describe("both ways in", () => {
  it("P4: give the same answers and the same errors: code, message and details", async () => {
    const [here, there] = [await enter("in process"), await enter("through the remote client")];
    const outcomes = async ({ as, addNode, addSession }: typeof here) => {
      const api = as(alice);
      const sessionId = await addSession(alice, [await addNode(alice)]);
      const calls: readonly (() => Promise<unknown>)[] = [
        () => api.listNodes({ limit: -5 }),
        () => api.getNode({ nodeId: "node_0123456789ABCDEFGHJKMNPQRS" }),
        () => api.dispatch({ sessionId, skill: "shell", input: { text: 1 } }),
        () => api.dispatch({ sessionId, skill: "shell", input: { command: "x" }, timeoutMs: 0 }),
        () => api.dispatch({ sessionId, skill: "echo", input: { text: "x".repeat(300_000) } }),
        () => api.createSession({ name: 7 as never }),
        () => api.listSessions({ limit: 3 }).then(({ items }) => items.map(({ name, status }) => ({ name, status }))),
        () => api.createInvite({ ttlSeconds: 0 }),
      ];
      const settled = await Promise.allSettled(calls.map((call) => call()));
      return settled.map((outcome) => {
        if (outcome.status === "fulfilled") return outcome.value;
        const { code, message, details, retryable } = outcome.reason as CortexError;
        return { code, message, details, retryable };
      });
    };
    const expected = await outcomes(here);
    expect(expected.filter((outcome) => !Array.isArray(outcome))).toHaveLength(7);
    expect(await outcomes(there)).toEqual(expected);
  });

  it("P4: inputs and outputs are typed end to end", () => {
    type Table = Operations & { readonly countNodes: typeof countNodes };
    type Calls = Api<Table>;
    expectTypeOf<ReturnType<Calls["getTask"]>>().toEqualTypeOf<Promise<TaskResource>>();
    expectTypeOf<Parameters<Calls["getTask"]>[0]>().toEqualTypeOf<{ taskId: string }>();
    expectTypeOf<Calls["listNodes"]>().toBeCallableWith();
    expectTypeOf<Calls["listNodes"]>().toBeCallableWith({ limit: 1 }, { signal: new AbortController().signal });
    // @ts-expect-error -- a task cannot be read without its id
    expectTypeOf<Calls["getTask"]>().toBeCallableWith();
    // @ts-expect-error -- an effect is one of two words
    expectTypeOf<Calls["dispatch"]>().toBeCallableWith({ sessionId: "", skill: "", input: null, effect: "x" });
    expectTypeOf<ReturnType<Calls["countNodes"]>>().toEqualTypeOf<Promise<{ count: number }>>();
    expectTypeOf<ReturnType<Calls["readTaskOutput"]>>().toEqualTypeOf<Promise<ByteContent>>();
    expectTypeOf<ReturnType<Calls["deleteSession"]>>().toEqualTypeOf<Promise<void>>();
    expectTypeOf<ReturnType<Calls["followEvents"]>>().toExtend<AsyncIterable<{ id: string; event: string }>>();
  });

  it("I8: a caller with the scope of somebody else, or of the hub, is nobody", async () => {
    const { services } = await openTestHub();
    for (const scope of [bob.scope, { kind: "system" } as never]) {
      const api = createApi(operations, services, { ...alice, scope });
      await expect(api.listNodes()).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
    }
  });
});
