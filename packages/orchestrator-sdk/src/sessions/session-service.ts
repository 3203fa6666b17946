/**
 * Sessions: an owner, attached nodes, one workspace.
 *
 * Invariants:
 * - N1 only the owner's own nodes attach, and none that was revoked.
 * - N2 a session that is being deleted is `closed` first, so that nothing new starts while its tasks are ended; a deletion
 *   that was interrupted leaves it closed, and deleting again finishes it.
 */
import type { Clock, IdSource, NodeId, SessionId } from "@cortex-mesh/protocol";
import { CortexError } from "@cortex-mesh/protocol";
import type { Caller } from "../access/caller.js";
import { appendFeed } from "../feed/feed-service.js";
import type { JsonObject, SessionNode, SessionRecord } from "../store/records.js";
import type { HubStore, PageRequest, StoreTransaction } from "../store/store.js";
import type { Wake } from "../wake/wake.js";
import { parseWorkspacePath } from "./workspace-path.js";

/** Nodes of one session: far more than a person has, few enough to look at in one transaction. */
export const MAX_SESSION_NODES = 64;
/** Characters of a session's name. */
export const MAX_SESSION_NAME_CHARACTERS = 200;
/** Name of a session that was given none. */
export const DEFAULT_SESSION_NAME = "session";

/** A node to attach. */
export interface AttachRequest {
  readonly nodeId: NodeId;
  /** Below the node's workspace root. @default the session's id */
  readonly path?: string | undefined;
}

/** Sessions of a hub. Every method throws `NOT_FOUND` for what the caller does not own. */
export interface SessionService {
  /** @throws {@link CortexError} `BAD_NAME`, `PATH_OUTSIDE_WORKSPACE`, `NODE_REVOKED`, `BAD_REQUEST` */
  create(
    caller: Caller,
    request: { readonly name?: string | undefined; readonly nodes?: readonly AttachRequest[] | undefined },
  ): Promise<SessionRecord>;
  get(caller: Caller, sessionId: SessionId): Promise<SessionRecord>;
  list(caller: Caller, page: PageRequest): Promise<SessionRecord[]>;
  /** Attaches a node; again with the same path is harmless. @throws as {@link SessionService.create}, and `LOCKED` while it is being deleted */
  attach(caller: Caller, sessionId: SessionId, request: AttachRequest): Promise<SessionRecord>;
  /** Detaches a node, then ends the session's tasks there. @throws {@link CortexError} `NODE_NOT_ATTACHED` */
  detach(caller: Caller, sessionId: SessionId, nodeId: NodeId): Promise<SessionRecord>;
  /** Ends the session's tasks, then removes it with all it had. */
  remove(caller: Caller, sessionId: SessionId): Promise<void>;
}

/** Ends tasks that a session can no longer carry. */
export interface SessionTasks {
  /**
   * Cancels every unfinished task of the session; with `nodeId` those that are on the node or wait for it by name.
   * Resolves when they have ended, or after a bounded wait.
   */
  cancelAll(target: { readonly sessionId: SessionId; readonly nodeId?: NodeId }): Promise<void>;
}

/** What the service needs. */
export interface SessionServiceOptions {
  readonly store: HubStore;
  readonly wake: Wake;
  readonly clock: Clock;
  readonly ids: IdSource;
  readonly tasks: SessionTasks;
}

/** Makes the service. */
export function createSessionService(options: SessionServiceOptions): SessionService {
  const { store, wake, clock, ids, tasks } = options;

  /** Changes one session in a transaction and tells its owner; an unchanged one is left alone. */
  async function change(
    target: { readonly caller: Caller; readonly sessionId: SessionId; readonly kind: string; readonly nodeId?: NodeId },
    next: (tx: StoreTransaction, session: SessionRecord) => Promise<SessionRecord>,
  ): Promise<SessionRecord> {
    const { caller, sessionId, kind, nodeId } = target;
    const written = await store.transaction(async (tx) => {
      const before = found(await tx.sessions.get(caller.scope, sessionId), sessionId);
      const after = await next(tx, before);
      if (after === before) return before;
      const session = { ...after, revision: before.revision + 1 };
      await tx.sessions.update(session);
      await appendFeed(tx, session.ownerId, [event(kind, session, nodeId)]);
      return session;
    });
    announce(written);
    return written;
  }

  function event(kind: string, session: SessionRecord, nodeId?: NodeId) {
    const data: JsonObject = { sessionId: session.sessionId, name: session.name, revision: session.revision };
    return { kind, atMs: clock.nowMs(), data: nodeId === undefined ? data : { ...data, nodeId } };
  }

  function announce(session: SessionRecord): void {
    // A node that was just attached may be what a waiting task needs.
    wake.wake(`user:${session.ownerId}`, "place", ...session.nodes.map(({ nodeId }) => `node:${nodeId}` as const));
  }

  return {
    async create(caller, { name, nodes = [] }) {
      const createdAtMs = clock.nowMs();
      const sessionId = ids.next("ses");
      assertName(name ?? DEFAULT_SESSION_NAME);
      const places = nodes.map((node) => toPlace(sessionId, node, createdAtMs));
      const session: SessionRecord = {
        sessionId,
        revision: 1,
        ownerId: caller.userId,
        name: name ?? DEFAULT_SESSION_NAME,
        status: "active",
        nodes: places.reduce(addPlace, [] as readonly SessionNode[]),
        parentId: undefined,
        createdAtMs,
      };
      await store.transaction(async (tx) => {
        for (const { nodeId } of session.nodes) await assertAttachable(tx, caller, nodeId);
        await tx.sessions.insert(session);
        await appendFeed(tx, session.ownerId, [event("session.created", session)]);
      });
      announce(session);
      return session;
    },

    get: async (caller, sessionId) => found(await store.sessions.get(caller.scope, sessionId), sessionId),

    list: (caller, page) => store.sessions.list(caller.scope, page),

    async attach(caller, sessionId, request) {
      const place = toPlace(sessionId, request, clock.nowMs());
      return change({ caller, sessionId, kind: "session.attached", nodeId: place.nodeId }, async (tx, session) => {
        if (session.status === "closed") throw new CortexError("LOCKED", `session ${sessionId} is being deleted`);
        await assertAttachable(tx, caller, place.nodeId);
        const nodes = addPlace(session.nodes, place);
        return nodes === session.nodes ? session : { ...session, nodes };
      });
    },

    async detach(caller, sessionId, nodeId) {
      const kind = "session.detached";
      const session = await change({ caller, sessionId, kind, nodeId }, (_tx, before) => {
        const nodes = before.nodes.filter((node) => node.nodeId !== nodeId);
        if (nodes.length === before.nodes.length) {
          throw new CortexError("NODE_NOT_ATTACHED", `node ${nodeId} is not attached to session ${sessionId}`);
        }
        return Promise.resolve({ ...before, nodes });
      });
      await tasks.cancelAll({ sessionId, nodeId });
      return session;
    },

    async remove(caller, sessionId) {
      const closed = await change({ caller, sessionId, kind: "session.closed" }, (_tx, before) =>
        Promise.resolve(before.status === "closed" ? before : { ...before, status: "closed" }),
      );
      await tasks.cancelAll({ sessionId });
      await store.transaction(async (tx) => {
        const isRemoved = await tx.sessions.remove(sessionId);
        if (isRemoved) await appendFeed(tx, closed.ownerId, [event("session.deleted", closed)]);
      });
      announce(closed);
    },
  };
}

function found(session: SessionRecord | undefined, sessionId: SessionId): SessionRecord {
  if (session !== undefined) return session;
  throw new CortexError("NOT_FOUND", `there is no session ${sessionId}`);
}

function assertName(name: string): void {
  if (name.length >= 1 && name.length <= MAX_SESSION_NAME_CHARACTERS && !/[\p{Cc}\p{Surrogate}]/u.test(name)) return;
  const message = `name: a session's name is 1 to ${MAX_SESSION_NAME_CHARACTERS} characters without control characters`;
  throw new CortexError("BAD_NAME", message, { details: { field: "name" } });
}

function toPlace(sessionId: SessionId, { nodeId, path }: AttachRequest, attachedAtMs: number): SessionNode {
  return { nodeId, path: path === undefined ? sessionId : parseWorkspacePath(path), attachedAtMs };
}

/** Adds a place; a repeat gives the same list. */
function addPlace(nodes: readonly SessionNode[], place: SessionNode): readonly SessionNode[] {
  const present = nodes.find(({ nodeId }) => nodeId === place.nodeId);
  if (present !== undefined && present.path === place.path) return nodes;
  if (present !== undefined) {
    const message = `node ${place.nodeId} is attached with the path "${present.path}"; detach it to change that`;
    throw new CortexError("BAD_REQUEST", message, { details: { field: "path" } });
  }
  if (nodes.length >= MAX_SESSION_NODES) {
    throw new CortexError("BAD_REQUEST", `a session has at most ${MAX_SESSION_NODES} nodes`, {
      details: { field: "nodes" },
    });
  }
  return [...nodes, place];
}

async function assertAttachable(tx: StoreTransaction, caller: Caller, nodeId: NodeId): Promise<void> {
  const node = await tx.nodes.get(caller.scope, nodeId);
  if (node === undefined) throw new CortexError("NOT_FOUND", `there is no node ${nodeId}`);
  if (node.revokedAtMs !== undefined)
    throw new CortexError("NODE_REVOKED", `node ${nodeId} was revoked; invite it again`);
}
