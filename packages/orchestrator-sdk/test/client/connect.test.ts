import { describe, expect, it } from "vitest";
import { type ConnectOptions, connect } from "../../src/client/connect.js";
import { isTransient, nextDelayMs } from "../../src/client/retry.js";
import { openTestHttp } from "../http/open-test-http.js";
import { alice } from "../operations/open-hub-services.js";
import { createImpatientClock } from "./impatient-clock.js";

type Send = (request: Request) => Promise<Response>;

function connectOver(send: Send, options: Partial<ConnectOptions> = {}) {
  const clock = createImpatientClock();
  const requests: Request[] = [];
  const fetch: Send = (request) => {
    requests.push(request);
    return send(request);
  };
  return { api: connect("http://hub", { token: "alice", fetch, clock, random: () => 0, ...options }), clock, requests };
}

const down: Send = () => Promise.reject(new TypeError("fetch failed", { cause: new Error("connect ECONNREFUSED") }));
const json = (value: unknown, status = 200) => new Response(JSON.stringify(value), { status });
const PAGE = { items: [], nextCursor: null };

describe("connect", () => {
  it("P4: a hub is found below any path, and an address that is none is refused", async () => {
    for (const [url, expected] of [
      ["http://hub:8080", "http://hub:8080/api/v1/nodes"],
      ["https://host/cortex/", "https://host/cortex/api/v1/nodes"],
    ] as const) {
      const requests: Request[] = [];
      const fetch: Send = async (request) => (requests.push(request), json(PAGE));
      await connect(new URL(url), { token: "secret", fetch }).listNodes();
      expect(requests[0]!.url).toBe(expected);
      expect(requests[0]!.headers.get("authorization")).toBe("Bearer secret");
    }
    for (const url of ["hub", "ftp://hub", "http://user:pass@hub", "http://hub?x=1", "http://hub#x"]) {
      expect(() => connect(url, { token: "" })).toThrow(TypeError);
    }
  });

  it("P4: a call that reads is repeated while the hub cannot be reached, for a bounded time", async () => {
    let failures = 3;
    const { api, clock } = connectOver((request) => (failures-- > 0 ? down(request) : Promise.resolve(json(PAGE))));
    expect(await api.listNodes()).toEqual(PAGE);
    expect(clock.waitsMs).toEqual([100, 200, 400]);
    const never = connectOver(down);
    await expect(never.api.listNodes()).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: "the hub at hub cannot be reached: connect ECONNREFUSED",
    });
    expect(never.clock.waitsMs.reduce((sum, ms) => sum + ms, 0)).toBeLessThanOrEqual(5000);
    const once = connectOver(down, { retry: { callMs: 0 } });
    await expect(once.api.listNodes()).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(once.requests).toHaveLength(1);
  });

  it("P4: a call that changes something is not repeated, since it may have arrived", async () => {
    const { api, requests } = connectOver(down);
    for (const call of [
      () => api.createSession({}),
      () => api.cancelTask({ taskId: "task_x" }),
      () => api.revokeNode({ nodeId: "node_x" }),
    ]) {
      await expect(call()).rejects.toMatchObject({ code: "UNAVAILABLE" });
    }
    expect(requests).toHaveLength(3);
  });

  it("E5: a dispatch whose answer was lost is repeated under one key, and is one task", async () => {
    const http = await openTestHttp();
    const sessionId = await http.addSession(alice, [await http.addNode(alice)]);
    let losses = 2;
    const { api, requests } = connectOver(async (request) => {
      const response = await http.fetch(request);
      if (losses-- <= 0) return response;
      throw new TypeError("other side closed");
    });
    const { taskId, isRepeat } = await api.dispatch({ sessionId, skill: "echo", input: { text: "x" } });
    expect(isRepeat).toBe(true);
    expect((await api.listTasks({ sessionId })).items.map((task) => task.taskId)).toEqual([taskId]);
    const keys = requests.slice(0, 3).map((request) => request.headers.get("idempotency-key"));
    expect(keys[0]).toMatch(/^auto-[0-9a-f]{32}$/);
    expect(new Set(keys).size).toBe(1);
    await api.dispatch({ sessionId, skill: "echo", input: { text: "x" } });
    expect(requests.at(-1)!.headers.get("idempotency-key")).not.toBe(keys[0]);
  });

  it("P4: a hub that says nothing is given up, and a caller who withdraws is heard at once", async () => {
    const silent = connectOver(() => new Promise(() => undefined), { retry: { callMs: 0 } });
    const calling = silent.api.listNodes();
    await expect.poll(() => silent.clock.pendingMs).toEqual([60_000]);
    silent.clock.expire();
    await expect(calling).rejects.toMatchObject({ code: "TIMED_OUT" });
    expect(silent.requests[0]!.signal.aborted).toBe(true);
    const leaving = new AbortController();
    const withdrawn = connectOver(() => new Promise(() => undefined));
    const waiting = withdrawn.api.createSession({}, { signal: leaving.signal });
    await expect.poll(() => withdrawn.requests.length).toBe(1);
    leaving.abort();
    await expect(waiting).rejects.toMatchObject({ code: "CANCELLED" });
    expect(withdrawn.requests[0]!.signal.aborted).toBe(true);
  });

  it("P4: a token that does not come is given up like an answer, and what its function throws is the caller's error", async () => {
    const never = () => new Promise<string>(() => undefined);
    const silent = connectOver(down, { token: never, timeoutMs: 30_000, retry: { callMs: 0 } });
    const calling = silent.api.listNodes();
    await expect.poll(() => silent.clock.pendingMs).toEqual([30_000]);
    silent.clock.expire();
    await expect(calling).rejects.toMatchObject({ code: "TIMED_OUT", message: /token/ });
    const leaving = new AbortController();
    const withdrawn = silent.api.listNodes({}, { signal: leaving.signal });
    leaving.abort();
    await expect(withdrawn).rejects.toMatchObject({ code: "CANCELLED" });
    const failure = new Error("no account");
    for (const token of [
      () => Promise.reject(failure),
      () => {
        throw failure;
      },
    ]) {
      const failing = connectOver(down, { token });
      await expect(failing.api.listNodes()).rejects.toBe(failure);
      expect(failing.clock.waitsMs).toEqual([]);
    }
    expect(silent.requests).toEqual([]);
    expect(silent.clock.pendingMs).toEqual([]);
  });

  it("P4: what a newer hub says more is left out, and what does not fit is an error", async () => {
    const node = {
      nodeId: "node_x",
      revision: 1,
      name: "n",
      ownerId: "alice",
      status: "offline",
      capabilities: { any: { thing: 1 } },
      labels: {},
      version: null,
      maxTasks: 1,
      createdAt: "2027-01-15T08:00:00.000Z",
      lastSeenAt: null,
      usage: null,
      connection: { epoch: 0, connectedAt: null, reconnects: 0, roundTripMs: null },
    };
    const newer = { ...node, colour: "red", connection: { ...node.connection, path: { hops: 2 } } };
    const { api } = connectOver(async () => json({ items: [newer], nextCursor: null, total: 1 }));
    expect(await api.listNodes()).toEqual({ items: [node], nextCursor: null });
    const wrong = connectOver(async () => json({ items: [{ ...node, status: "purple" }], nextCursor: null }));
    await expect(wrong.api.listNodes()).rejects.toMatchObject({ code: "INTERNAL", message: /items\.0\.status/ });
    const page = connectOver(async () => new Response("<html>", { headers: { "content-type": "text/html" } }));
    await expect(page.api.listNodes()).rejects.toMatchObject({ code: "INTERNAL", message: /is this the URL of a hub/ });
    await expect(page.api.followEvents()[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: "INTERNAL" });
  });

  it.each([
    [502, "<html>bad gateway", "UNAVAILABLE"],
    [401, "", "UNAUTHENTICATED"],
    [404, "{}", "NOT_FOUND"],
    [418, "tea", "BAD_REQUEST"],
    [500, "x", "INTERNAL"],
  ])("P4: status %i of something that is no hub is an error of Cortex", async (status, body, code) => {
    const { api } = connectOver(async () => new Response(body, { status }), { retry: { callMs: 0 } });
    await expect(api.listNodes()).rejects.toMatchObject({
      code,
      message: `answered with status ${status}, not by a hub`,
    });
  });

  it("P4: a code that this build does not know becomes the nearest one, with the code in the details", async () => {
    const document = {
      type: "x",
      title: "x",
      status: 404,
      detail: "no such moon",
      code: "MOON_NOT_FOUND",
      instance: "urn:cortex:request:7",
      retryable: false,
      details: { moon: "x" },
    };
    const headers = { "content-type": "application/problem+json" };
    const { api } = connectOver(async () => new Response(JSON.stringify(document), { status: 404, headers }));
    await expect(api.listNodes()).rejects.toMatchObject({
      code: "NOT_FOUND",
      message: "no such moon",
      details: { moon: "x", code: "MOON_NOT_FOUND" },
      cause: { instance: "urn:cortex:request:7" },
    });
  });
});

describe("reading bytes", () => {
  it("P4: a read that is cut goes on where it was: the bytes are exact", async () => {
    const http = await openTestHttp();
    const nodeId = await http.addNode(alice);
    const taskId = await http.addTask(alice, await http.addSession(alice, [nodeId]));
    await http.start(taskId, nodeId);
    const bytes = Buffer.from(Array.from({ length: 1000 }, (_value, index) => index % 251));
    await http.write(taskId, "stdout", bytes);
    const { api, requests } = connectOver(async (request) => {
      const response = await http.fetch(request);
      const part = new Uint8Array(await response.arrayBuffer()).subarray(0, 300);
      return new Response(part, { status: response.status, headers: response.headers });
    });
    const { sizeBytes, read } = await api.readTaskOutput({ taskId });
    expect(sizeBytes).toBe(1000);
    const pieces: Uint8Array[] = [];
    for await (const piece of read(10, 5000)) pieces.push(piece);
    expect(Buffer.concat(pieces)).toEqual(bytes.subarray(10));
    expect(requests.map((request) => request.headers.get("range"))).toEqual([
      "bytes=0-0",
      "bytes=10-999",
      "bytes=310-999",
      "bytes=610-999",
      "bytes=910-999",
    ]);
  });

  it("P4: an answer that is not the range is an error, never wrong bytes", async () => {
    const { api } = connectOver(async (request) => {
      const isProbe = request.headers.get("range") === "bytes=0-0";
      return new Response(new Uint8Array(10), { status: 200, headers: { "content-length": isProbe ? "10" : "10" } });
    });
    const { read } = await api.readTaskOutput({ taskId: "task_x" });
    await expect(read(5, 10)[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: "INTERNAL" });
  });
});

describe("nextDelayMs", () => {
  it("P4: waits double to a bound, less up to half by chance, and end with the budget", () => {
    const wait = (failures: number, random: number) => nextDelayMs({ failures, elapsedMs: 0, budgetMs: 1e9, random });
    expect([1, 2, 3, 6, 7, 50].map((failures) => wait(failures, 0))).toEqual([100, 200, 400, 3200, 5000, 5000]);
    expect(wait(1, 0.999)).toBeGreaterThanOrEqual(50);
    expect(nextDelayMs({ failures: 1, elapsedMs: 950, budgetMs: 1000, random: 0 })).toBeUndefined();
    expect(nextDelayMs({ failures: 1, elapsedMs: 900, budgetMs: 1000, random: 0 })).toBe(100);
    expect(isTransient(new Error("x"))).toBe(false);
  });
});
