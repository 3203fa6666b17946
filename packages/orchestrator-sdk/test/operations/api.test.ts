import { describe, expect, expectTypeOf, it } from "vitest";
import { z } from "zod";
import { type Api, createApi } from "../../src/operations/api.js";
import { type ByteContent, defineOperation } from "../../src/operations/operation.js";
import type { TaskResource } from "../../src/operations/resources/task.js";
import { type Operations, operations } from "../../src/operations/table.js";
import { openTestHttp } from "../http/open-test-http.js";
import { alice, bob, openTestHub } from "./open-hub-services.js";

/** An operation that only this test has. */
const countNodes = defineOperation({
  name: "countNodes",
  method: "GET",
  path: "/nodes/count",
  summary: "Count the caller's nodes",
  input: z.object({ atMost: z.int().min(1).default(100) }),
  output: z.strictObject({ count: z.int() }),
  kind: "json",
  rule: "user",
  run: async ({ caller, services }, { atMost }) => ({
    count: (await services.nodes.list(caller, { limit: atMost })).length,
  }),
});

describe("createApi", () => {
  it("P4: an operation that is added to the table is found in process, over HTTP and in the description, with no other edit", async () => {
    const table = { ...operations, countNodes };
    const { call, services, addNode } = await openTestHttp({ table });
    for (let count = 0; count < 3; count += 1) await addNode(alice);
    const api = createApi(table, services, alice);
    expect(await api.countNodes()).toEqual({ count: 3 });
    expect(await (await call("GET", "/nodes/count")).json()).toEqual({ count: 3 });
    expect(await (await call("GET", "/nodes/count?atMost=2")).json()).toEqual({ count: 2 });
    const { paths } = (await (await call("GET", "/openapi.json")).json()) as { paths: Record<string, unknown> };
    expect(paths["/nodes/count"]).toMatchObject({ get: { operationId: "countNodes" } });
  });

  it("P4: input is checked as over HTTP, with the same errors", async () => {
    const { services, addSession } = await openTestHub();
    const api = createApi(operations, services, alice);
    const sessionId = await addSession(alice);
    await expect(api.listNodes({ limit: 0 })).rejects.toMatchObject({
      code: "BAD_REQUEST",
      details: { field: "limit" },
    });
    const input = { sessionId, skill: "shell", input: { comand: "x" } };
    await expect(api.dispatch(input)).rejects.toMatchObject({ code: "BAD_REQUEST", details: { field: "input" } });
    await expect(api.getTask({ taskId: "task_x" })).rejects.toMatchObject({ code: "NOT_FOUND" });
    const misspelt = { lmit: 1 } as never;
    await expect(api.listNodes(misspelt)).rejects.toMatchObject({ code: "BAD_REQUEST", details: { field: "lmit" } });
  });

  it("I8: a caller with the scope of somebody else, or of the hub, is nobody", async () => {
    const { services } = await openTestHub();
    for (const scope of [bob.scope, { kind: "system" } as never]) {
      const api = createApi(operations, services, { ...alice, scope });
      await expect(api.listNodes()).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
    }
  });

  it("P4: events come one by one until their end, and bytes by range", async () => {
    const { services, addNode, addSession, addTask, start, write, end } = await openTestHub();
    const nodeId = await addNode(alice);
    const taskId = await addTask(alice, await addSession(alice, [nodeId]));
    await start(taskId, nodeId);
    await write(taskId, "stdout", "hello");
    await end(taskId);
    const api = createApi(operations, services, alice);
    const seen: string[] = [];
    for await (const { event, data } of api.followTask({ taskId }))
      seen.push(`${data.seq} ${event} ${data.text ?? ""}`);
    expect(seen).toEqual(["1 state ", "2 state ", "3 state ", "4 stdout hello", "5 state "]);
    const { sizeBytes, read } = await api.readTaskOutput({ taskId });
    const pieces: Uint8Array[] = [];
    for await (const piece of read(1, sizeBytes)) pieces.push(piece);
    expect(Buffer.concat(pieces).toString()).toBe("ello");
    await expect(
      createApi(operations, services, bob).followTask({ taskId })[Symbol.asyncIterator]().next(),
    ).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
  });

  it("P4: following ends with the caller's signal, and leaving the loop ends what was followed", async () => {
    const signals: AbortSignal[] = [];
    const { services, addNode, addSession, addTask } = await openTestHub({
      wrapTasks: (tasks) => ({
        ...tasks,
        events(caller, taskId, from) {
          if (from.signal !== undefined) signals.push(from.signal);
          return tasks.events(caller, taskId, from);
        },
      }),
    });
    const taskId = await addTask(alice, await addSession(alice, [await addNode(alice)]));
    const api = createApi(operations, services, alice);
    for await (const _event of api.followTask({ taskId })) break;
    expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
    const leaving = new AbortController();
    const ids: string[] = [];
    for await (const { id } of api.followTask({ taskId }, { signal: leaving.signal })) {
      ids.push(id);
      leaving.abort();
    }
    expect(ids).toEqual(["1"]);
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
});
