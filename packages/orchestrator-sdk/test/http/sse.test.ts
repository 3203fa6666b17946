import { describe, expect, it } from "vitest";
import { createHttpHandler } from "../../src/http/handler.js";
import { toProblem } from "../../src/http/problem.js";
import { createSseBody, type SentEvent } from "../../src/http/sse.js";
import { operations } from "../../src/operations/table.js";
import { SSE_KEEP_ALIVE_MS } from "../../src/operations/wire.js";
import { alice, bob, createManualClock } from "../operations/open-hub-services.js";
import { authenticate, openTestHttp, toRequest } from "./open-test-http.js";

/** One block as a client parses it. */
interface Block {
  readonly id?: string;
  readonly event?: string;
  readonly data?: Record<string, unknown>;
}

/** Reads blocks until the stream ends or `isEnough`; then leaves. */
async function readBlocks(response: Response, isEnough: (blocks: readonly Block[]) => boolean = () => false) {
  const blocks: Block[] = [];
  const reader = response.body!.getReader();
  let text = "";
  const decoder = new TextDecoder();
  while (!isEnough(blocks)) {
    const { done, value } = await reader.read();
    if (done) return blocks;
    text += decoder.decode(value, { stream: true });
    const parts = text.split("\n\n");
    text = parts.pop() ?? "";
    for (const part of parts) blocks.push(parseBlock(part));
  }
  await reader.cancel();
  return blocks;
}

function parseBlock(text: string): Block {
  const fields = new Map(
    text.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]),
  );
  const [id, event, data] = [fields.get("id"), fields.get("event"), fields.get("data")];
  return {
    ...(id === undefined ? {} : { id }),
    ...(event === undefined ? {} : { event }),
    ...(data === undefined ? {} : { data: JSON.parse(data) as Record<string, unknown> }),
  };
}

const withData = (blocks: readonly Block[]) => blocks.filter(({ data }) => data !== undefined);

/** Resolves when everything that was ready to run has run. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe("task events over HTTP", () => {
  async function openTask() {
    const http = await openTestHttp();
    const nodeId = await http.addNode(alice);
    const taskId = await http.addTask(alice, await http.addSession(alice, [nodeId]));
    return { ...http, nodeId, taskId };
  }

  it("E2: states and output come in one order, numbered without a gap, and the stream ends after the final state", async () => {
    const { call, taskId, nodeId, start, write, end } = await openTask();
    const response = await call("GET", `/tasks/${taskId}/events?after=0`);
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    const reading = readBlocks(response);
    await start(taskId, nodeId);
    await write(taskId, "stdout", "héllo\n\ndata: 🙂");
    await write(taskId, "stderr", "err\n");
    await end(taskId, { state: "failed", exitCode: 7 });
    const events = withData(await reading);
    expect(events.map(({ event }) => event)).toEqual(["state", "state", "state", "stdout", "stderr", "state"]);
    expect(events.map(({ id }) => id)).toEqual(["1", "2", "3", "4", "5", "6"]);
    expect(events.map(({ data }) => data?.["seq"])).toEqual([1, 2, 3, 4, 5, 6]);
    expect(events[3]?.data).toEqual({ seq: 4, at: "2027-01-15T08:00:00.000Z", text: "héllo\n\ndata: 🙂" });
    expect(events[5]?.data).toMatchObject({ state: "failed", result: { exitCode: 7, signal: null, value: null } });
  });

  it("E2: bytes that are no UTF-8, also for ending inside a character, come as base64 and are exact", async () => {
    const { call, taskId, nodeId, start, write, end } = await openTask();
    await start(taskId, nodeId);
    const euro = Buffer.from("€");
    await write(taskId, "stdout", euro.subarray(0, 2));
    await write(taskId, "stdout", euro.subarray(2));
    await write(taskId, "stdout", "\ufeff€");
    await end(taskId);
    const events = withData(await readBlocks(await call("GET", `/tasks/${taskId}/events`)));
    const outputs = events.filter(({ event }) => event === "stdout").map(({ data }) => data);
    expect(
      outputs.map((data) =>
        Object.keys(data ?? {})
          .sort()
          .join(),
      ),
    ).toEqual(["at,base64,seq", "at,base64,seq", "at,seq,text"]);
    const bytes = outputs.map((data) => {
      return data?.["text"] === undefined
        ? Buffer.from(String(data?.["base64"]), "base64")
        : Buffer.from(String(data["text"]));
    });
    expect(Buffer.concat(bytes).toString()).toBe("€\ufeff€");
  });

  it("E2: a reader resumes after any number, by query or Last-Event-ID, and the header counts more", async () => {
    const { call, taskId, nodeId, start, end } = await openTask();
    await start(taskId, nodeId);
    await end(taskId);
    const ids = async (query: string, headers: Record<string, string> = {}) => {
      const response = await call("GET", `/tasks/${taskId}/events${query}`, { headers });
      return withData(await readBlocks(response)).map(({ id }) => id);
    };
    expect(await ids("")).toEqual(["1", "2", "3", "4"]);
    expect(await ids("?after=2")).toEqual(["3", "4"]);
    expect(await ids("?after=0", { "last-event-id": "3" })).toEqual(["4"]);
    expect(await ids("?after=1", { "last-event-id": "" })).toEqual(["2", "3", "4"]);
  });

  it("E2: a reader that has the last event of an ended task gets an end, not a wait", async () => {
    const { call, taskId } = await openTask();
    await call("POST", `/tasks/${taskId}/cancel`);
    expect(withData(await readBlocks(await call("GET", `/tasks/${taskId}/events?after=2`)))).toEqual([]);
    expect(withData(await readBlocks(await call("GET", `/tasks/${taskId}/events?after=99`)))).toEqual([]);
  });

  it("E2: a number that no event has yet is 400, and so is what is no number", async () => {
    const { call, taskId } = await openTask();
    for (const after of ["2", "-1", "x", "1.5"]) {
      const response = await call("GET", `/tasks/${taskId}/events?after=${after}`);
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ code: "BAD_REQUEST", details: { field: "after" } });
    }
  });

  it("H8: a failure in the middle is told as an event, and the stream ends", async () => {
    const http = await openTestHttp({
      wrapTasks: (tasks) => ({
        ...tasks,
        async *events() {
          yield [{ seq: 1, kind: "state", atMs: 0, data: { state: "queued" }, bytes: undefined }];
          throw new Error("disk /dev/secret failed");
        },
      }),
    });
    const taskId = await http.addTask(alice, await http.addSession(alice, [await http.addNode(alice)]));
    const events = withData(await readBlocks(await http.call("GET", `/tasks/${taskId}/events`)));
    expect(events.map(({ event }) => event)).toEqual(["state", "problem"]);
    expect(events[1]?.data).toMatchObject({ code: "INTERNAL" });
    expect(JSON.stringify(events)).not.toContain("secret");
    expect(http.faults).toHaveLength(1);
  });

  it("H8: a client that leaves ends what it followed", async () => {
    let isAborted = false;
    let follow = (): void => undefined;
    const following = new Promise<void>((resolve) => {
      follow = resolve;
    });
    const http = await openTestHttp({
      wrapTasks: (tasks) => ({
        ...tasks,
        async *events(_caller, _taskId, { signal }) {
          follow();
          await new Promise<void>((resolve) => {
            signal?.addEventListener("abort", () => {
              isAborted = true;
              resolve();
            });
          });
        },
      }),
    });
    const taskId = await http.addTask(alice, await http.addSession(alice, [await http.addNode(alice)]));
    const response = await http.call("GET", `/tasks/${taskId}/events`);
    const reader = response.body!.getReader();
    await reader.read();
    const waiting = reader.read();
    await following;
    await reader.cancel();
    expect((await waiting).done).toBe(true);
    expect(isAborted).toBe(true);
  });

  it("H8: a client that leaves while it reads nothing ends what it followed", async () => {
    let listenerCount = 0;
    const http = await openTestHttp({
      wrapWake: (wake) => ({
        ...wake,
        listen(topic, listener) {
          listenerCount += 1;
          const unlisten = wake.listen(topic, listener);
          return () => {
            listenerCount -= 1;
            unlisten();
          };
        },
      }),
    });
    const nodeId = await http.addNode(alice);
    const taskId = await http.addTask(alice, await http.addSession(alice, [nodeId]));
    const before = listenerCount;
    for (const path of [`/tasks/${taskId}/events?after=0`, "/events"]) {
      const reader = (await http.call("GET", path)).body!.getReader();
      await reader.read();
      const first = reader.read();
      await http.addSession(alice);
      await first;
      expect(listenerCount, path).toBe(before + 1);
      await reader.cancel();
      await settled();
      expect(listenerCount, path).toBe(before);
    }
  });

  it("L4: a client that left while its stream was made counts for no reader", async () => {
    const leaving = new AbortController();
    const http = await openTestHttp({
      wrapTasks: (tasks) => ({
        ...tasks,
        get(caller, taskId) {
          leaving.abort();
          return tasks.get(caller, taskId);
        },
      }),
    });
    let readerCount = 0;
    const fetch = createHttpHandler({
      table: operations,
      services: http.services,
      authenticate,
      onReader() {
        readerCount += 1;
        return () => {
          readerCount -= 1;
        };
      },
    });
    const taskId = await http.addTask(alice, await http.addSession(alice, [await http.addNode(alice)]));
    const path = `/tasks/${taskId}/events`;
    await fetch(toRequest("GET", path, { signal: leaving.signal }));
    expect(readerCount).toBe(0);
    const stays = await fetch(toRequest("GET", path));
    expect(readerCount).toBe(1);
    await stays.body!.cancel();
    expect(readerCount).toBe(0);
  });

  it("H8: a hub that closes ends the streams", async () => {
    const closing = new AbortController();
    const { call } = await openTestHttp({ closing: closing.signal });
    const reading = readBlocks(await call("GET", "/events"));
    closing.abort();
    expect(withData(await reading)).toEqual([]);
  });
});

describe("the feed over HTTP", () => {
  it("H8: a reader knows its cursor before the first event, resumes from it, and sees only what is its own", async () => {
    const { call, addNode, addSession } = await openTestHttp();
    const first = await readBlocks(await call("GET", "/events"), (blocks) => blocks.length > 0);
    const cursor = first[0]?.id ?? "";
    expect(cursor).toMatch(/^[A-Za-z0-9_-]+$/);
    const nodeId = await addNode(alice);
    const sessionId = await addSession(alice, [nodeId]);
    await addSession(bob);
    const body = { skill: "shell", input: { command: "true" } };
    await call("POST", `/sessions/${sessionId}/dispatch`, { body });
    const response = await call("GET", `/events?after=${cursor}`);
    const events = withData(await readBlocks(response, (blocks) => withData(blocks).length >= 2));
    expect(events.map(({ event }) => event)).toEqual(["session.created", "task.queued"]);
    expect(events[0]?.data).toMatchObject({ sessionId, at: "2027-01-15T08:00:00.000Z" });
    const headers = { "last-event-id": events[0]?.id ?? "" };
    const rest = await readBlocks(
      await call("GET", `/events?after=${cursor}`, { headers }),
      (blocks) => withData(blocks).length >= 1,
    );
    expect(withData(rest).map(({ event }) => event)).toEqual(["task.queued"]);
  });

  it("H8: a cursor whose next event is gone is 410 before the stream starts", async () => {
    const { call, store, addSession } = await openTestHttp();
    const first = await readBlocks(await call("GET", "/events"), (blocks) => blocks.length > 0);
    for (let count = 0; count < 3; count += 1) await addSession(alice);
    await store.transaction((tx) => tx.feed.prune(alice.userId, 1));
    const response = await call("GET", `/events?after=${first[0]?.id}`);
    expect(response.status).toBe(410);
    expect(await response.json()).toMatchObject({ code: "PAST_RETENTION" });
  });
});

describe("createSseBody", () => {
  function open(batches: AsyncIterable<readonly SentEvent[]>) {
    const clock = createManualClock();
    const leave = new AbortController();
    const toDocument = (error: unknown) => toProblem(error, { requestId: "r" });
    const body = createSseBody({ batches }, { clock, leave, toProblem: toDocument });
    const reader = body.getReader();
    const read = async () => Buffer.from((await reader.read()).value ?? []).toString();
    return { clock, leave, reader, read };
  }

  it("T5: nothing is read ahead of the client", async () => {
    let taken = 0;
    async function* batches() {
      for (;;) {
        taken += 1;
        yield [{ id: String(taken), event: "state", data: {} }];
      }
    }
    const { read, reader, leave } = open(batches());
    await read();
    await settled();
    expect(taken).toBe(0);
    for (let count = 1; count <= 3; count += 1) {
      await read();
      await settled();
      expect(taken).toBe(count);
    }
    await reader.cancel();
    expect(leave.signal.aborted).toBe(true);
  });

  it("H8: silence is broken by comments, and what came meanwhile is lost neither before nor after one", async () => {
    let give: (batch: readonly SentEvent[]) => void = () => undefined;
    let readCount = 0;
    const source = {
      next() {
        readCount += 1;
        return new Promise<IteratorResult<readonly SentEvent[]>>((resolve) => {
          give = (value) => resolve({ value, done: false });
        });
      },
    };
    const batches = () => ({ [Symbol.asyncIterator]: () => source });
    const { clock, read, reader } = open(batches());
    await read();
    for (let count = 0; count < 2; count += 1) {
      const silent = read();
      await expect.poll(() => clock.timerCount).toBe(1);
      clock.advance(SSE_KEEP_ALIVE_MS);
      expect(await silent).toBe(": keep-alive\n\n");
    }
    expect(readCount).toBe(1);
    give([{ id: "1", event: "state", data: {} }]);
    expect(await read()).toBe("id: 1\nevent: state\ndata: {}\n\n");
    const next = read();
    await expect.poll(() => clock.timerCount).toBe(1);
    give([{ id: "2", event: "state", data: {} }]);
    expect(await next).toContain("id: 2\n");
    expect(clock.timerCount).toBe(0);
    await reader.cancel();
  });
});
