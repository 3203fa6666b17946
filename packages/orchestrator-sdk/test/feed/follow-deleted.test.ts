/** Following what is deleted meanwhile: an end or an answer, never silence or a leak. */
import { beforeEach, describe, expect, it } from "vitest";
import type { SessionId, TaskId, UserId } from "@cortex-mesh/protocol";
import { FEED_KEEP_EVENTS } from "../../src/feed/feed-service.js";
import { CANCEL_ALL_WAIT_MS } from "../../src/tasks/cancel-all.js";
import { alice, type Mesh, openMesh } from "../support/open-mesh.js";
import { turns, until } from "../support/until.js";

let mesh: Mesh;
let sessionId: SessionId;
let taskId: TaskId;
let leave: AbortController;
beforeEach(async () => {
  leave = new AbortController();
  mesh = await openMesh();
  const nodeId = await mesh.addNode();
  sessionId = await mesh.addSession([nodeId]);
  const node = await mesh.connect(nodeId);
  taskId = await mesh.submit(sessionId);
  await mesh.reaches(taskId, "leased");
  node.started({ taskId, attempt: 1 });
  await mesh.reaches(taskId, "running");
  node.tasks.close();
  await until(async () => (await mesh.task(taskId)).disconnected);
});
const removeSession = async (): Promise<void> => {
  const removed = mesh.services.sessions.remove(alice, sessionId);
  await turns();
  await mesh.clock.advance(CANCEL_ALL_WAIT_MS);
  await removed;
};

describe("a session that is deleted", () => {
  it("H6: ends its task's readers with an answer, also when its node is away and no end comes", async () => {
    const states: unknown[] = [];
    const reading = (async () => {
      for await (const batch of mesh.services.tasks.events(alice, taskId, { afterSeq: 0 }))
        states.push(...batch.map(({ data }) => data?.["state"]));
    })();
    const ended = expect(reading).rejects.toMatchObject({ code: "NOT_FOUND" });
    await until(() => states.includes("running"));
    await removeSession();
    await ended;
  });

  it("H8: is told to its owner's readers, who go on", async () => {
    const followed = await mesh.services.feed.follow(alice, { signal: leave.signal });
    const kinds: string[] = [];
    const reading = (async () => {
      for await (const batch of followed.batches) kinds.push(...batch.map(({ event }) => event.kind));
    })();
    await removeSession();
    await until(() => kinds.includes("session.deleted"));
    expect(kinds.slice(0, 1)).toEqual(["session.closed"]);
    const next = await mesh.addSession([]);
    await until(() => kinds.at(-1) === "session.created");
    expect(next).toMatch(/^ses_/);
    leave.abort();
    await reading;
  });
});

describe("a user that is removed", () => {
  it("H8: ends no reader with an error, and the reader's own leaving ends it", async () => {
    const userId = alice.userId satisfies UserId;
    const user = { userId, tokenSha256: "00", isAdmin: false, createdAtMs: 1 };
    await mesh.store.transaction((tx) => tx.users.insert(user));
    const leaving = new AbortController();
    const followed = await mesh.services.feed.follow(alice, { signal: leaving.signal });
    const reading = (async () => {
      for await (const batch of followed.batches) void batch;
    })();
    await mesh.store.transaction((tx) => tx.users.remove(userId));
    await turns();
    leaving.abort();
    await reading;
  });
});

describe("a cursor whose next event is gone", () => {
  it("H11: is past retention, and the earliest one that is kept works", async () => {
    const { store, services } = mesh;
    const events = (count: number) => Array.from({ length: count }, () => ({ kind: "x", atMs: 1, data: {} }));
    const { startCursor } = await services.feed.follow(alice, { signal: leave.signal });
    await store.transaction(async (tx) => {
      await tx.feed.append(alice.userId, events(FEED_KEEP_EVENTS + 1));
      await tx.feed.prune(alice.userId, FEED_KEEP_EVENTS);
    });
    const signal = new AbortController().signal;
    const refused = await services.feed.follow(alice, { cursor: startCursor, signal }).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: "PAST_RETENTION" });
    const earliest = (refused as { readonly details: { readonly earliest: string } }).details.earliest;
    expect(await services.feed.follow(alice, { cursor: earliest, signal })).toMatchObject({ startCursor: earliest });
  });
});
