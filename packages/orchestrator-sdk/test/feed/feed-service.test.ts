import { describe, expect, it } from "vitest";
import { createCaller } from "../../src/access/caller.js";
import { parseFeedCursor, toFeedCursor } from "../../src/feed/cursor.js";
import {
  appendFeed,
  createFeedService,
  FEED_KEEP_EVENTS,
  FEED_PRUNE_EVERY_EVENTS,
  type FollowedFeed,
} from "../../src/feed/feed-service.js";
import { createMemoryStore } from "../../src/store/memory/memory-store.js";
import { createLocalWake } from "../../src/wake/local.js";

const alice = createCaller("alice");
const bob = createCaller("bob");

function openFeed() {
  const store = createMemoryStore();
  const wake = createLocalWake();
  const feed = createFeedService({ store, wake });
  const append = async (owner: typeof alice, from: number, count = 1): Promise<void> => {
    const events = Array.from({ length: count }, (_, index) => ({
      kind: "task.queued",
      atMs: 1,
      data: { n: from + index },
    }));
    await store.transaction((tx) => appendFeed(tx, owner.userId, events));
    wake.wake(`user:${owner.userId}`);
  };
  return { store, feed, append };
}

async function take(followed: FollowedFeed, count: number): Promise<unknown[]> {
  const taken: unknown[] = [];
  for await (const batch of followed.batches) {
    taken.push(...batch.map(({ event }) => event.data["n"]));
    if (taken.length >= count) return taken;
  }
  return taken;
}

describe("createFeedService", () => {
  it("H8: without a cursor a reader gets what comes from now on", async () => {
    const { feed, append } = openFeed();
    await append(alice, 1, 3);
    const followed = await feed.follow(alice, { signal: new AbortController().signal });
    await append(alice, 4, 2);
    expect(await take(followed, 2)).toEqual([4, 5]);
  });

  it("H8: a reader that comes back with its cursor misses nothing and gets nothing twice", async () => {
    const { feed, append } = openFeed();
    const { signal } = new AbortController();
    const first = await feed.follow(alice, { signal });
    await append(alice, 1, 2);
    let cursor = "";
    for await (const batch of first.batches) {
      cursor = batch[0]?.cursor ?? "";
      break;
    }
    await append(alice, 3);
    expect(await take(await feed.follow(alice, { cursor, signal }), 2)).toEqual([2, 3]);
    expect(await take(await feed.follow(alice, { cursor: first.startCursor, signal }), 3)).toEqual([1, 2, 3]);
  });

  it("I8: nobody reads another user's feed", async () => {
    const { feed, append } = openFeed();
    const leaving = new AbortController();
    const followed = await feed.follow(bob, { signal: leaving.signal });
    await append(alice, 1);
    await append(bob, 2);
    expect(await take(followed, 1)).toEqual([2]);
    leaving.abort();
  });

  it("H8: an aborted reader ends", async () => {
    const { feed } = openFeed();
    const leaving = new AbortController();
    const followed = await feed.follow(alice, { signal: leaving.signal });
    const reading = take(followed, 1);
    leaving.abort();
    expect(await reading).toEqual([]);
  });

  it("H11: a feed keeps a bounded number of events, and a cursor before them is told so", async () => {
    const { store, feed, append } = openFeed();
    const total = FEED_KEEP_EVENTS + 3 * FEED_PRUNE_EVERY_EVENTS;
    for (let from = 0; from < total; from += 256) await append(alice, from, 256);
    const { firstSeq, lastSeq } = await store.feed.range(alice.userId);
    expect(lastSeq - firstSeq + 1).toBeLessThanOrEqual(FEED_KEEP_EVENTS + FEED_PRUNE_EVERY_EVENTS);
    const { signal } = new AbortController();
    await expect(feed.follow(alice, { cursor: toFeedCursor(firstSeq - 2), signal })).rejects.toMatchObject({
      code: "PAST_RETENTION",
      details: { earliest: toFeedCursor(firstSeq - 1) },
    });
    expect((await take(await feed.follow(alice, { cursor: toFeedCursor(firstSeq - 1), signal }), 1))[0]).toBe(
      firstSeq - 1,
    );
  });

  it("H8: a reader that falls behind what is kept is told, and never sees a silent gap", async () => {
    const { store, feed, append } = openFeed();
    await append(alice, 1, 2);
    const { batches } = await feed.follow(alice, { cursor: toFeedCursor(0), signal: new AbortController().signal });
    await append(alice, 3, 5);
    await store.transaction((tx) => tx.feed.prune(alice.userId, 2));
    await expect(batches[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: "PAST_RETENTION" });
  });

  it("H8: a cursor from the future is refused, since its reader would wait in vain", async () => {
    const { feed, append } = openFeed();
    await append(alice, 1);
    const { signal } = new AbortController();
    await expect(feed.follow(alice, { cursor: toFeedCursor(2), signal })).rejects.toMatchObject({
      code: "PAST_RETENTION",
    });
  });

  it.each(["", "7", "x", "LTE", "MDE", "!!", `${toFeedCursor(3)}=`])("H8: %j is no cursor", (cursor) => {
    expect(() => parseFeedCursor(cursor)).toThrow(expect.objectContaining({ code: "BAD_REQUEST" }));
  });
});
