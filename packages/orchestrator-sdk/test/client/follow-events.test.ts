import { describe, expect, it } from "vitest";
import { CortexError } from "@cortex-mesh/protocol";
import { type ConnectOptions, connect } from "../../src/client/connect.js";
import { MAX_SILENCE_MS } from "../../src/client/event-stream.js";
import { createHttpHandler, type FetchHandler } from "../../src/http/handler.js";
import { RECHECK_CALLER_MS } from "../../src/http/watch-caller.js";
import { operations } from "../../src/operations/table.js";
import { openTestHttp } from "../http/open-test-http.js";
import { alice } from "../operations/open-hub-services.js";
import { createImpatientClock } from "./impatient-clock.js";

type Send = (request: Request) => Promise<Response>;

/** A client over `send`, without a socket; waits of retries are over at once. */
function connectOver(send: Send, options: Partial<ConnectOptions> = {}) {
  const clock = createImpatientClock();
  const requests: Request[] = [];
  const fetch: Send = (request) => {
    requests.push(request);
    return send(request);
  };
  return { api: connect("http://hub", { token: "alice", fetch, clock, random: () => 0, ...options }), clock, requests };
}

/** A task with eight events: three states, four outputs with characters of all lengths, the end. */
async function openEndedTask() {
  const http = await openTestHttp();
  const nodeId = await http.addNode(alice);
  const taskId = await http.addTask(alice, await http.addSession(alice, [nodeId]));
  await http.start(taskId, nodeId);
  for (const text of ["one\n", "zwö🙂\n", "\ndata: x\nid: 9\n\n", "\ufeff"]) await http.write(taskId, "stdout", text);
  await http.end(taskId);
  return { ...http, nodeId, taskId };
}

/** Passes on the first `bytes` bytes of each answer, then ends it: cleanly, as a proxy does, or with an error. */
function cutAfter(fetch: FetchHandler, bytesOf: () => number | undefined, how: "end" | "error"): Send {
  return async (request) => {
    const response = await fetch(request);
    const limit = bytesOf();
    if (limit === undefined || response.body === null) return response;
    const reader = response.body.getReader();
    let left = limit;
    const body = new ReadableStream<Uint8Array>({
      async pull(controller) {
        const { done, value } = (await reader.read()) as { done: boolean; value?: Uint8Array };
        if (value !== undefined && left > 0) controller.enqueue(value.subarray(0, left));
        left -= value?.byteLength ?? 0;
        if (!done && left > 0) return;
        await reader.cancel();
        if (how === "end") controller.close();
        else controller.error(new TypeError("terminated"));
      },
    });
    return new Response(body, { status: response.status, headers: response.headers });
  };
}

async function idsOf(events: AsyncIterable<{ readonly id: string }>): Promise<string[]> {
  const ids: string[] = [];
  for await (const { id } of events) ids.push(id);
  return ids;
}

const ALL = ["1", "2", "3", "4", "5", "6", "7", "8"];

describe("following over connections that break", () => {
  it.each(["end", "error"] as const)(
    "H8: a stream that is cut by an %s at any place gives each event once, in order",
    async (how) => {
      const { fetch, taskId } = await openEndedTask();
      const size = (
        await (
          await fetch(
            new Request(`http://hub/api/v1/tasks/${taskId}/events`, { headers: { authorization: "Bearer alice" } }),
          )
        ).arrayBuffer()
      ).byteLength;
      for (let bytes = 0; bytes < size; bytes += 3) {
        let isFirst = true;
        const cut = cutAfter(fetch, () => (isFirst ? bytes : undefined), how);
        const send: Send = async (request) => {
          const response = await cut(request);
          isFirst = false;
          return response;
        };
        const { api, requests } = connectOver(send);
        expect(await idsOf(api.followTask({ taskId })), `cut after ${bytes} of ${size} bytes`).toEqual(ALL);
        expect(requests.length).toBeLessThanOrEqual(2);
      }
    },
  );

  it("H8: a stream that is cut again and again goes on as long as it brings something", async () => {
    const { fetch, taskId } = await openEndedTask();
    const { api, clock, requests } = connectOver(
      cutAfter(fetch, () => 420, "end"),
      { retry: { streamMs: 0, callMs: 100 } },
    );
    await expect(idsOf(api.followTask({ taskId }))).rejects.toMatchObject({ code: "UNAVAILABLE" });
    const patient = connectOver(cutAfter(fetch, () => 420, "end"));
    expect(await idsOf(patient.api.followTask({ taskId }))).toEqual(ALL);
    expect(patient.requests.length).toBeGreaterThan(3);
    // Each time something came, so that each wait was a first one.
    expect(new Set(patient.clock.waitsMs)).toEqual(new Set([100]));
    expect(requests).toHaveLength(1);
    expect(clock.waitsMs).toEqual([]);
  });

  it("H8: a stream that follows from now misses nothing that happens while it is cut before its first event", async () => {
    const { fetch, addSession } = await openTestHttp();
    let isFirst = true;
    const send: Send = async (request) => {
      const response = await cutAfter(fetch, () => (isFirst ? 80 : undefined), "end")(request);
      if (isFirst) await addSession(alice);
      isFirst = false;
      return response;
    };
    const { api, requests } = connectOver(send);
    for await (const { event } of api.followEvents()) {
      expect(event).toBe("session.created");
      break;
    }
    expect(requests).toHaveLength(2);
    expect(requests[1]!.headers.get("last-event-id")).not.toBeNull();
  });

  it("H8: a hub that is away is tried again with growing waits, until the time is over", async () => {
    const { fetch, taskId } = await openEndedTask();
    let isUp = true;
    const send: Send = (request) => (isUp ? fetch(request) : Promise.reject(new TypeError("fetch failed")));
    const { api, clock } = connectOver(cutAfter(send, () => 300, "end"));
    const seen: string[] = [];
    const follow = async (): Promise<void> => {
      for await (const { id } of api.followTask({ taskId })) {
        seen.push(id);
        isUp = false;
      }
    };
    await expect(follow()).rejects.toMatchObject({ code: "UNAVAILABLE", message: /the hub at hub cannot be reached/ });
    expect(seen.length).toBeGreaterThan(0);
    expect(clock.waitsMs.slice(0, 8)).toEqual([100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    const totalMs = clock.waitsMs.reduce((sum, ms) => sum + ms, 0);
    expect(totalMs).toBeLessThanOrEqual(120_000);
    expect(totalMs).toBeGreaterThan(110_000);
  });

  it("H8: a hub that was never reached is given up as soon as a call would", async () => {
    const { api, clock } = connectOver(() => Promise.reject(new TypeError("fetch failed")), {
      retry: { callMs: 1000 },
    });
    await expect(idsOf(api.followEvents())).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(clock.waitsMs).toEqual([100, 200, 400]);
  });

  it("H8: a connection without a word for three keep-alives is left for a new one", async () => {
    const { fetch, taskId } = await openEndedTask();
    let isFirst = true;
    let isClosed = false;
    const silent: Send = async (request) => {
      if (!isFirst) return fetch(request);
      isFirst = false;
      const body = new ReadableStream<Uint8Array>({
        cancel() {
          isClosed = true;
        },
      });
      return new Response(body, { headers: { "content-type": "text/event-stream" } });
    };
    const { api, clock } = connectOver(silent);
    const reading = idsOf(api.followTask({ taskId }));
    await expect.poll(() => clock.pendingMs).toEqual([MAX_SILENCE_MS]);
    clock.expire();
    expect(await reading).toEqual(ALL);
    expect(isClosed).toBe(true);
  });

  it("H8: a refusal ends the stream with its error, also when it comes at a return", async () => {
    const { fetch, taskId } = await openEndedTask();
    let token = "alice";
    const { api } = connectOver(
      cutAfter(fetch, () => 300, "end"),
      { token: () => token },
    );
    const seen: string[] = [];
    const follow = async (): Promise<void> => {
      for await (const { id } of api.followTask({ taskId })) {
        seen.push(id);
        token = "mallory";
      }
    };
    await expect(follow()).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
    expect(seen.length).toBeGreaterThan(0);
  });

  it("H8: events go on with the next token when one runs out, where there is a next one", async () => {
    const http = await openTestHttp();
    let valid = "first";
    const authenticate = (request: Request) =>
      request.headers.get("authorization") === `Bearer ${valid}` ? alice : undefined;
    const fetch = createHttpHandler({ table: operations, services: http.services, authenticate });
    const rotating = connectOver(fetch, { token: () => valid });
    const fixed = connectOver(fetch, { token: "first" });
    const readers = [rotating, fixed].map(({ api }) => api.followEvents()[Symbol.asyncIterator]());
    const next = readers.map((reader) => reader.next());
    // Both wait for events: a timer of the check and one of the keep-alive each.
    await expect.poll(() => http.clock.timerCount).toBe(4);
    const sentAway = expect(next[1]).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
    valid = "second";
    http.clock.advance(RECHECK_CALLER_MS);
    await sentAway;
    await http.addSession(alice);
    expect((await next[0])?.value).toMatchObject({ event: "session.created" });
    expect(rotating.requests.map(({ headers }) => headers.get("authorization"))).toEqual([
      "Bearer first",
      "Bearer second",
    ]);
    expect([rotating.clock.waitsMs, fixed.requests.length]).toEqual([[100], 1]);
    await readers[0]?.return?.();
  });

  it("H8: a failure that the hub tells in the stream is the caller's error, unless it will pass", async () => {
    for (const [error, expected] of [
      [new Error("disk"), "INTERNAL"],
      [new CortexError("PAST_RETENTION", "gone", { details: { earliest: "x" } }), "PAST_RETENTION"],
      [new CortexError("UNAVAILABLE", "closing"), undefined],
    ] as const) {
      let failures = 0;
      const http = await openTestHttp({
        wrapTasks: (tasks) => ({
          ...tasks,
          async *events(caller, taskId, from) {
            if (failures++ > 0) yield* tasks.events(caller, taskId, from);
            else throw error;
          },
        }),
      });
      const taskId = await http.addTask(alice, await http.addSession(alice, [await http.addNode(alice)]));
      await http.services.tasks.cancel(alice, taskId);
      const following = idsOf(connectOver(http.fetch).api.followTask({ taskId }));
      if (expected === undefined) expect(await following).toEqual(["1", "2"]);
      else await expect(following).rejects.toMatchObject({ code: expected });
    }
  });

  it("H8: while a hub closes its readers are sent away, and find every event at the next one", async () => {
    const closing = new AbortController();
    const http = await openTestHttp({ closing: closing.signal });
    const nodeId = await http.addNode(alice);
    const taskId = await http.addTask(alice, await http.addSession(alice, [nodeId]));
    let fetch = http.fetch;
    const { api } = connectOver((request) => fetch(request));
    const events = api.followTask({ taskId })[Symbol.asyncIterator]();
    expect((await events.next()).value).toMatchObject({ id: "1" });
    const waiting = events.next();
    closing.abort();
    const refused = await http.call("GET", `/tasks/${taskId}/events`);
    expect([refused.status, ((await refused.json()) as { code: string }).code]).toEqual([503, "UNAVAILABLE"]);
    fetch = createHttpHandler({ table: operations, services: http.services, authenticate: () => alice });
    await http.start(taskId, nodeId);
    expect((await waiting).value).toMatchObject({ id: "2" });
    await events.return?.();
  });

  it("H8: events of an operation that cannot resume end with an error when they are cut", async () => {
    const { fetch, taskId } = await openEndedTask();
    const { describeOperation } = await import("../../src/operations/description.js");
    const { taskEvent } = await import("../../src/operations/resources/event.js");
    const { z } = await import("zod");
    const plain = describeOperation({
      name: "plain",
      method: "GET",
      path: "/tasks/{taskId}/events",
      summary: "Events without a return",
      input: z.object({ taskId: z.string() }),
      output: taskEvent,
      kind: "events",
    });
    const send = cutAfter(fetch, () => 300, "end");
    const api = connect("http://hub", { token: "alice", fetch: send, operations: { plain } });
    const seen: string[] = [];
    const follow = async (): Promise<void> => {
      for await (const { id } of api.plain({ taskId })) seen.push(id);
    };
    await expect(follow()).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(seen).toEqual(ALL.slice(0, seen.length));
  });
});
