/**
 * The feed of a user: everything that happens to what the user owns, numbered, kept within a bound, followed by cursor.
 *
 * Invariants:
 * - F1 an event is appended in the transaction that makes it true; readers are woken after the commit (`user:<id>`).
 * - F2 a reader gets every event after its cursor, in order, or is told with `PAST_RETENTION` that it cannot.
 */
import { CortexError, type UserId } from "@cortex-mesh/protocol";
import { followLog } from "@cortex-mesh/protocol/log";
import type { Caller } from "../access/caller.js";
import type { FeedEvent, NewFeedEvent } from "../store/records.js";
import type { HubStore, StoreTransaction } from "../store/store.js";
import type { Wake } from "../wake/wake.js";
import { parseFeedCursor, toFeedCursor } from "./cursor.js";

/** Events that a user's feed keeps at least, once it had them: hours of a busy mesh, a few MiB. */
export const FEED_KEEP_EVENTS = 10_000;
/** A feed is pruned each time so many events were added, so that an append seldom pays for it. */
export const FEED_PRUNE_EVERY_EVENTS = 512;
/** Events of one read. */
const READ_EVENTS = 256;

/** One event with the cursor that stands after it. */
export interface FeedItem {
  readonly cursor: string;
  readonly event: FeedEvent;
}

/** What follows a cursor. */
export interface FollowedFeed {
  /** The cursor from which it follows: the given one, or now. */
  readonly startCursor: string;
  /** Batches that are never empty, until the signal aborts. Rejects with `PAST_RETENTION` when the reader fell behind what is kept. */
  readonly batches: AsyncIterable<readonly FeedItem[]>;
}

/** Reads feeds. */
export interface FeedService {
  /**
   * Follows the caller's feed after `cursor`; without one, from now.
   *
   * @throws CortexError `BAD_REQUEST` for what is no cursor, `PAST_RETENTION` for one whose next event is gone.
   */
  follow(
    caller: Caller,
    from: { readonly cursor?: string | undefined; readonly signal: AbortSignal },
  ): Promise<FollowedFeed>;
}

/** Appends to a user's feed within a transaction and keeps it within its bound (F1). */
export async function appendFeed(
  tx: StoreTransaction,
  ownerId: UserId,
  events: readonly NewFeedEvent[],
): Promise<void> {
  if (events.length === 0) return;
  const first = await tx.feed.append(ownerId, events);
  const next = first + events.length;
  const isPruneDue = Math.floor(next / FEED_PRUNE_EVERY_EVENTS) !== Math.floor(first / FEED_PRUNE_EVERY_EVENTS);
  if (isPruneDue) await tx.feed.prune(ownerId, FEED_KEEP_EVENTS);
}

/** Makes the reader of feeds. */
export function createFeedService(options: { readonly store: HubStore; readonly wake: Wake }): FeedService {
  const { store, wake } = options;

  async function readAfter(userId: UserId, afterSeq: number): Promise<readonly FeedEvent[]> {
    const events = await store.feed.read(userId, { afterSeq, limit: READ_EVENTS });
    // A gap in front means that the next event was pruned while the reader was slow.
    if (events[0] !== undefined && events[0].seq !== afterSeq + 1) throw pastRetention(events[0].seq);
    return events;
  }

  return {
    async follow(caller, { cursor, signal }) {
      const { firstSeq, lastSeq } = await store.feed.range(caller.userId);
      const afterSeq = cursor === undefined ? lastSeq : parseFeedCursor(cursor);
      // A cursor of the future is one of a hub that was restored from an older copy: waiting for it would hide events.
      if (afterSeq + 1 < firstSeq || afterSeq > lastSeq) throw pastRetention(firstSeq);
      const batches = followLog<FeedEvent, number>({
        after: afterSeq,
        cursorOf: (event) => event.seq,
        readAfter: (after) => readAfter(caller.userId, after),
        subscribe: (listener) => wake.listen(`user:${caller.userId}`, listener),
        signal,
      });
      return { startCursor: toFeedCursor(afterSeq), batches: toItems(batches) };
    },
  };
}

async function* toItems(batches: AsyncIterable<readonly FeedEvent[]>): AsyncGenerator<readonly FeedItem[]> {
  for await (const events of batches) {
    yield events.map((event) => ({ cursor: toFeedCursor(event.seq), event }));
  }
}

function pastRetention(firstSeq: number): CortexError {
  const message = "events after this cursor are no longer kept; read the lists again, then follow from now";
  return new CortexError("PAST_RETENTION", message, { details: { earliest: toFeedCursor(firstSeq - 1) } });
}
