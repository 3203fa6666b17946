/** Writes sessions: the record and its owner's feed in one transaction; readers are woken after the commit. */
import { type Clock, CortexError, type NodeId, type SessionId } from "@cortex-mesh/protocol";
import type { Caller } from "../access/caller.js";
import { appendFeed } from "../feed/feed-service.js";
import type { JsonObject, SessionRecord } from "../store/records.js";
import type { HubStore, StoreTransaction } from "../store/store.js";
import type { Wake } from "../wake/wake.js";

/** Which session changes how, in the words of the feed. */
export interface SessionChange {
  readonly caller: Caller;
  readonly sessionId: SessionId;
  readonly kind: `session.${string}`;
  readonly nodeId?: NodeId;
}

/** The one place that writes sessions. */
export interface SessionWriter {
  /** Inserts a session after `check` passed in the same transaction. */
  insert(session: SessionRecord, check: (tx: StoreTransaction) => Promise<void>): Promise<void>;
  /** Applies `next` to the stored session; giving back the same record changes nothing. @throws CortexError `NOT_FOUND` */
  change(
    target: SessionChange,
    next: (session: SessionRecord, tx: StoreTransaction) => Promise<SessionRecord>,
  ): Promise<SessionRecord>;
  /** Removes a session; harmless when it is gone. */
  remove(session: SessionRecord): Promise<void>;
}

/** Makes the writer. */
export function createSessionWriter(options: {
  readonly store: HubStore;
  readonly wake: Wake;
  readonly clock: Clock;
}): SessionWriter {
  const { store, wake, clock } = options;

  function record(tx: StoreTransaction, session: SessionRecord, change: Pick<SessionChange, "kind" | "nodeId">) {
    const { kind, nodeId } = change;
    const base: JsonObject = { sessionId: session.sessionId, name: session.name, revision: session.revision };
    const data = nodeId === undefined ? base : { ...base, nodeId };
    return appendFeed(tx, session.ownerId, [{ kind, atMs: clock.nowMs(), data }]);
  }

  function announce(session: SessionRecord): void {
    // A node that was just attached may be what a waiting task needs.
    wake.wake(`user:${session.ownerId}`, "place", ...session.nodes.map(({ nodeId }) => `node:${nodeId}` as const));
  }

  return {
    async insert(session, check) {
      await store.transaction(async (tx) => {
        await check(tx);
        await tx.sessions.insert(session);
        await record(tx, session, { kind: "session.created" });
      });
      announce(session);
    },
    async change({ caller, sessionId, ...change }, next) {
      const written = await store.transaction(async (tx) => {
        const before = assertSession(await tx.sessions.get(caller.scope, sessionId), sessionId);
        const after = await next(before, tx);
        if (after === before) return before;
        const session = { ...after, revision: before.revision + 1 };
        await tx.sessions.update(session);
        await record(tx, session, change);
        return session;
      });
      announce(written);
      return written;
    },
    async remove(session) {
      await store.transaction(async (tx) => {
        const isRemoved = await tx.sessions.remove(session.sessionId);
        if (isRemoved) await record(tx, session, { kind: "session.deleted" });
      });
      announce(session);
    },
  };
}

/** Throws `NOT_FOUND` for a session that is not there or not the caller's. */
export function assertSession(session: SessionRecord | undefined, sessionId: SessionId): SessionRecord {
  if (session !== undefined) return session;
  throw new CortexError("NOT_FOUND", `there is no session ${sessionId}`);
}
