import { describe, expect, it } from "vitest";
import { CortexError, MAX_HTTP_JSON_BYTES, MAX_TASK_INPUT_BYTES } from "@cortex-mesh/protocol";
import { createCaller } from "../../src/access/caller.js";
import { MAX_JSON_BODY_MS } from "../../src/http/body.js";
import { createHttpHandler } from "../../src/http/handler.js";
import { operations } from "../../src/operations/table.js";
import { alice } from "../operations/open-hub-services.js";
import { openTestHttp, toRequest } from "./open-test-http.js";

/** A body that never ends, with the number of bytes that were taken of it. */
function endlessBody(): { readonly body: ReadableStream<Uint8Array>; takenBytes(): number } {
  let taken = 0;
  const chunk = new Uint8Array(64 * 1024).fill(0x20);
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        taken += chunk.byteLength;
        controller.enqueue(chunk);
      },
    },
    { highWaterMark: 0 },
  );
  return { body, takenBytes: () => taken };
}

describe("createHttpHandler", () => {
  it("H7: the API is the same with and without its version", async () => {
    const { call, addNode } = await openTestHttp();
    const nodeId = await addNode(alice);
    for (const base of ["/api/v1", "/api"]) {
      const response = await call("GET", `${base}/nodes`);
      expect(response.status).toBe(200);
      expect(await response.json()).toMatchObject({
        items: [{ nodeId, status: "offline", revision: 1 }],
        nextCursor: null,
      });
    }
  });

  it("H7: an answer is not cached, not sniffed, and has a request id", async () => {
    const { call } = await openTestHttp();
    for (const path of ["/nodes", "/nothing", "/api/v1/openapi.json"]) {
      const { headers } = await call("GET", path);
      expect(headers.get("x-content-type-options")).toBe("nosniff");
      expect(headers.get("cache-control")).toBe("no-store");
      expect(headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
    }
  });

  it("H7: an unknown path is 401 for nobody known, and then a problem document with 404", async () => {
    const { call } = await openTestHttp();
    for (const path of ["/nothing", "/api/v1", "/api/nothing/at/all"]) {
      expect((await call("GET", path, { token: null })).status).toBe(401);
      const response = await call("GET", path);
      expect(response.status).toBe(404);
      expect(response.headers.get("content-type")).toBe("application/problem+json");
      expect(await response.json()).toMatchObject({ code: "NOT_FOUND", status: 404, title: "Not Found" });
    }
  });

  it("H7: a method that a path does not have is 405 with the ones it has, and OPTIONS says the same", async () => {
    const { call } = await openTestHttp();
    const wrong = await call("DELETE", "/nodes");
    expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "GET, HEAD, OPTIONS"]);
    const options = await call("OPTIONS", "/sessions");
    expect([options.status, options.headers.get("allow")]).toEqual([204, "POST, GET, HEAD, OPTIONS"]);
  });

  it("H7: HEAD answers as GET does, without a body", async () => {
    const { call, addNode, addSession, addTask } = await openTestHttp();
    const taskId = await addTask(alice, await addSession(alice, [await addNode(alice)]));
    for (const path of ["/nodes", `/tasks/${taskId}/output`, `/tasks/${taskId}/events`, "/tasks/nothing"]) {
      const [head, get] = [await call("HEAD", path), await call("GET", path)];
      expect([head.status, head.headers.get("content-type")]).toEqual([get.status, get.headers.get("content-type")]);
      expect(await head.text()).toBe("");
      await get.body?.cancel();
    }
  });

  it.each([
    ["broken JSON", "{nope"],
    ["a body that is no object", "[1]"],
    ["null", "null"],
    ["bytes that are no UTF-8", Uint8Array.of(0x7b, 0xff, 0x7d)],
    ["a key twice deep in its prototype", '{"__proto__": {"name": "x"}}'],
    ["an unknown key", '{"naem": "x"}'],
    ["a wrong type", '{"name": 7}'],
  ])("H7: %s is 400", async (_what, body) => {
    const { call } = await openTestHttp();
    const response = await call("POST", "/sessions", { body });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ code: "BAD_REQUEST" });
  });

  it.each([
    ["/nodes?limit=0", "limit"],
    ["/nodes?limit=1001", "limit"],
    ["/nodes?limit=ten", "limit"],
    ["/nodes?limit=1&limit=2", "limit"],
    ["/nodes?lmit=1", "lmit"],
    ["/nodes?cursor=xx", "cursor"],
    ["/events?after=7", "after"],
  ])("H7: %s is 400 and names the field %s", async (path, field) => {
    const { call } = await openTestHttp();
    const response = await call("GET", path);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ code: "BAD_REQUEST", details: { field } });
  });

  it("H7: lists are walked page by page, each item once, and the last page says so", async () => {
    const { call, addSession } = await openTestHttp();
    const ids = [];
    for (let count = 0; count < 5; count += 1) ids.push(await addSession(alice));
    const seen: string[] = [];
    const sizes: number[] = [];
    let cursor: string | null = "";
    while (cursor !== null) {
      const query: string = cursor === "" ? "" : `&cursor=${cursor}`;
      const page = (await (await call("GET", `/sessions?limit=2${query}`)).json()) as {
        items: { sessionId: string }[];
        nextCursor: string | null;
      };
      seen.push(...page.items.map(({ sessionId }) => sessionId));
      sizes.push(page.items.length);
      cursor = page.nextCursor;
    }
    expect(seen).toEqual([...ids].sort());
    expect(sizes).toEqual([2, 2, 1]);
    const exact = (await (await call("GET", "/sessions?limit=5")).json()) as { nextCursor: string | null };
    expect(exact.nextCursor).toBeNull();
  });
});

describe("request bodies", () => {
  it("H7: a declared length over 1 MiB is 413 and not a byte of it is read", async () => {
    const { call } = await openTestHttp();
    const { body, takenBytes } = endlessBody();
    const headers = { "content-length": String(MAX_HTTP_JSON_BYTES + 1) };
    const response = await call("POST", "/sessions", { body, headers });
    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({ code: "TOO_LARGE" });
    expect(takenBytes()).toBe(0);
  });

  it("H7: a body without a length is 413 as soon as it crosses 1 MiB, before it is parsed", async () => {
    const { call } = await openTestHttp();
    const { body, takenBytes } = endlessBody();
    const response = await call("POST", "/sessions", { body });
    expect(response.status).toBe(413);
    expect(takenBytes()).toBeLessThanOrEqual(MAX_HTTP_JSON_BYTES + 2 * 64 * 1024);
  });

  it("I8: the body of somebody unknown is not read", async () => {
    const { call } = await openTestHttp();
    const { body, takenBytes } = endlessBody();
    expect((await call("POST", "/sessions", { body, token: null })).status).toBe(401);
    expect(takenBytes()).toBe(0);
  });

  it("H7: a JSON body that does not arrive in time is given up", async () => {
    const { call, clock } = await openTestHttp();
    const stuck = new ReadableStream<Uint8Array>({ start: (controller) => controller.enqueue(Buffer.from("{")) });
    const answer = call("POST", "/sessions", { body: stuck });
    await expect.poll(() => clock.timerCount).toBe(1);
    clock.advance(MAX_JSON_BODY_MS);
    expect(await (await answer).json()).toMatchObject({ code: "TIMED_OUT" });
  });

  it("H7: deep nesting is refused and does not exhaust the stack", async () => {
    const { call, addNode, addSession } = await openTestHttp();
    const sessionId = await addSession(alice, [await addNode(alice)]);
    const depth = 100_000;
    const body = `{"skill":"echo","input":${"[".repeat(depth)}${"]".repeat(depth)}}`;
    const response = await call("POST", `/sessions/${sessionId}/dispatch`, { body });
    expect(await response.json()).toMatchObject({ code: "BAD_REQUEST", details: { field: "input" } });
  });

  it("H7: a task input over 256 KiB is 413", async () => {
    const { call, addNode, addSession } = await openTestHttp();
    const sessionId = await addSession(alice, [await addNode(alice)]);
    const send = (bytes: number) => {
      const body = { skill: "echo", input: { text: "x".repeat(bytes) } };
      return call("POST", `/sessions/${sessionId}/dispatch`, { body });
    };
    const overhead = JSON.stringify({ text: "" }).length;
    expect((await send(MAX_TASK_INPUT_BYTES - overhead)).status).toBe(202);
    const response = await send(MAX_TASK_INPUT_BYTES - overhead + 1);
    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({ code: "TOO_LARGE", details: { field: "input" } });
  });
});

describe("dispatch over HTTP", () => {
  it("E5: a dispatch is 202, the same with the same idempotency key 200, another with that key 409", async () => {
    const { call, addNode, addSession } = await openTestHttp();
    const path = `/sessions/${await addSession(alice, [await addNode(alice)])}/dispatch`;
    const headers = { "idempotency-key": "same" };
    const send = (command: string) => call("POST", path, { body: { skill: "shell", input: { command } }, headers });
    const first = await send("true");
    const repeat = await send("true");
    expect([first.status, repeat.status]).toEqual([202, 200]);
    const [created, repeated] = [await first.json(), await repeat.json()] as { taskId: string; isRepeat: boolean }[];
    expect(created).toMatchObject({ state: "queued", isRepeat: false, effect: "once", result: null });
    expect(repeated).toMatchObject({ taskId: created?.taskId, isRepeat: true });
    const conflict = await send("false");
    expect(conflict.status).toBe(409);
    expect(await conflict.json()).toMatchObject({ code: "IDEMPOTENCY_CONFLICT" });
  });

  it("E3: a cancel is 200 also when the task has ended, and a resolve of a settled task is 409", async () => {
    const { call, addNode, addSession, addTask } = await openTestHttp();
    const taskId = await addTask(alice, await addSession(alice, [await addNode(alice)]));
    for (const _try of [1, 2]) {
      const response = await call("POST", `/tasks/${taskId}/cancel`);
      expect(response.status).toBe(200);
      expect(await response.json()).toMatchObject({ state: "cancelled" });
    }
    const resolve = await call("POST", `/tasks/${taskId}/resolve`, { body: { state: "failed" } });
    expect(resolve.status).toBe(409);
    expect(await resolve.json()).toMatchObject({ code: "ALREADY_ENDED" });
  });

  it("E8: input goes to the task as raw bytes with its end, one after the other", async () => {
    const chunks: string[] = [];
    const http = await openTestHttp({
      wrapTasks: (tasks) => ({
        ...tasks,
        async input(_caller, _taskId, { data, eof }) {
          let acceptedBytes = 0;
          for await (const chunk of data) {
            chunks.push(Buffer.from(chunk).toString());
            acceptedBytes += chunk.byteLength;
          }
          chunks.push(`eof ${eof}`);
          return { acceptedBytes };
        },
      }),
    });
    const taskId = await http.addTask(alice, await http.addSession(alice, [await http.addNode(alice)]));
    const response = await http.call("POST", `/tasks/${taskId}/input?eof=1`, { body: '{"not": "parsed"' });
    expect(await response.json()).toEqual({ acceptedBytes: 16 });
    await http.call("POST", `/tasks/${taskId}/input`);
    expect(chunks).toEqual(['{"not": "parsed"', "eof true", "eof false"]);
  });
});

describe("faults", () => {
  it("H7: a fault of the hub goes to its log with the request id, and the client learns nothing else", async () => {
    const secret = "postgres://hub:hunter2@db";
    const http = await openTestHttp({
      wrapTasks: (tasks) => ({ ...tasks, get: () => Promise.reject(new Error(secret)) }),
    });
    const taskId = await http.addTask(alice, await http.addSession(alice, [await http.addNode(alice)]));
    const response = await http.call("GET", `/tasks/${taskId}`);
    expect(response.status).toBe(500);
    const text = await response.text();
    expect(text).not.toContain("hunter2");
    const requestId = response.headers.get("x-request-id");
    expect(JSON.parse(text)).toMatchObject({ code: "INTERNAL", instance: `urn:cortex:request:${requestId}` });
    expect(http.faults).toMatchObject([{ error: { message: secret }, request: { requestId, method: "GET" } }]);
  });

  it("H7: a client that withdrew is no fault of the hub", async () => {
    const leaving = new AbortController();
    const http = await openTestHttp({
      wrapTasks: (tasks) => ({
        ...tasks,
        explain: () => {
          leaving.abort();
          return Promise.reject(new Error("aborted"));
        },
      }),
    });
    const taskId = await http.addTask(alice, await http.addSession(alice, [await http.addNode(alice)]));
    const response = await http.call("GET", `/tasks/${taskId}/explain`, { signal: leaving.signal });
    expect(await response.json()).toMatchObject({ code: "CANCELLED" });
    expect(http.faults).toEqual([]);
  });

  it("I8: a host that gives a name that is no user id, or whose check fails, lets nobody in", async () => {
    const { services } = await openTestHttp();
    const answers: [() => Promise<undefined>, number][] = [
      [async () => void createCaller(".hidden"), 500],
      [() => Promise.reject(new Error("no database")), 500],
      [() => Promise.reject(new CortexError("UNAVAILABLE", "the directory of users is away")), 503],
      [() => Promise.resolve(undefined), 401],
    ];
    for (const [authenticate, status] of answers) {
      const fetch = createHttpHandler({ table: operations, services, authenticate });
      expect((await fetch(toRequest("GET", "/nodes"))).status).toBe(status);
    }
  });
});

describe("liveness and readiness", () => {
  it("H7: /healthz and /readyz need no token, and readiness is the hub's word", async () => {
    const { services } = await openTestHttp();
    let isReady = false;
    const fetch = createHttpHandler({
      table: operations,
      services,
      authenticate: () => undefined,
      isReady: () => isReady,
    });
    const status = async (path: string) => (await fetch(new Request(`http://hub${path}`))).status;
    expect([await status("/healthz"), await status("/readyz")]).toEqual([200, 503]);
    isReady = true;
    expect(await status("/readyz")).toBe(200);
  });
});
