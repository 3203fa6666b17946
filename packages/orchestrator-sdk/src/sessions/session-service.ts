/**
 * Sessions: an owner, attached nodes, one workspace.
 *
 * Invariants:
 * - N1 only the owner's own nodes attach, and none that was revoked.
 * - N2 a session that is being deleted is `closed` first, so that nothing new starts while its tasks are ended; a deletion
 *   that was interrupted leaves it closed, and deleting again finishes it.
 */
import { type Clock, CortexError, type IdSource, type NodeId, type SessionId } from "@cortex-mesh/protocol";
import type { Caller } from "../access/caller.js";
import type { SessionNode, SessionRecord } from "../store/records.js";
import type { HubStore, PageRequest } from "../store/store.js";
import type { Wake } from "../wake/wake.js";
import { type AttachRequest, addPlace, assertAttachable, toPlace } from "./session-nodes.js";
import { assertSession, createSessionWriter, type SessionWriter } from "./session-writer.js";

/** Characters of a session's name. */
export const MAX_SESSION_NAME_CHARACTERS = 200;
/** Name of a session that was given none. */
export const DEFAULT_SESSION_NAME = "session";

/** What to open a session with. */
export interface CreateSessionRequest {
  readonly name?: string | undefined;
  readonly nodes?: readonly AttachRequest[] | undefined;
}

/** Sessions of a hub. Every method throws `NOT_FOUND` for what the caller does not own. */
export interface SessionService {
  /** @throws CortexError `BAD_NAME`, `PATH_OUTSIDE_WORKSPACE`, `NODE_REVOKED`, `BAD_REQUEST` */
  create(caller: Caller, request: CreateSessionRequest): Promise<SessionRecord>;
  /** One session. */
  get(caller: Caller, sessionId: SessionId): Promise<SessionRecord>;
  /** The caller's sessions, in id order. */
  list(caller: Caller, page: PageRequest): Promise<SessionRecord[]>;
  /**
   * Attaches a node; again with the same path is harmless.
   *
   * @throws as {@link SessionService.create}, and CortexError `LOCKED` while the session is being deleted
   */
  attach(caller: Caller, sessionId: SessionId, request: AttachRequest): Promise<SessionRecord>;
  /** Detaches a node, then ends the session's tasks there. @throws CortexError `NODE_NOT_ATTACHED` */
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
  const { store, clock, tasks } = options;
  const writer = createSessionWriter(options);
  return {
    create: (caller, request) => openSession(options, writer, { ...request, caller }),
    get: async (caller, sessionId) => assertSession(await store.sessions.get(caller.scope, sessionId), sessionId),
    list: (caller, page) => store.sessions.list(caller.scope, page),
    async attach(caller, sessionId, request) {
      const place = toPlace(sessionId, request, clock.nowMs());
      const { nodeId } = place;
      return writer.change({ caller, sessionId, kind: "session.attached", nodeId }, async (session, tx) => {
        if (session.status === "closed") throw new CortexError("LOCKED", `session ${sessionId} is being deleted`);
        await assertAttachable(tx, caller, nodeId);
        const nodes = addPlace(session.nodes, place);
        return nodes === session.nodes ? session : { ...session, nodes };
      });
    },
    async detach(caller, sessionId, nodeId) {
      const target = { caller, sessionId, kind: "session.detached", nodeId } as const;
      const detached = await writer.change(target, async (session) => {
        const nodes = session.nodes.filter((node) => node.nodeId !== nodeId);
        if (nodes.length < session.nodes.length) return { ...session, nodes };
        throw new CortexError("NODE_NOT_ATTACHED", `node ${nodeId} is not attached to session ${sessionId}`);
      });
      await tasks.cancelAll({ sessionId, nodeId });
      return detached;
    },
    async remove(caller, sessionId) {
      const closed = await writer.change({ caller, sessionId, kind: "session.closed" }, async (session) =>
        session.status === "closed" ? session : { ...session, status: "closed" },
      );
      await tasks.cancelAll({ sessionId });
      await writer.remove(closed);
    },
  };
}

async function openSession(
  { ids, clock }: SessionServiceOptions,
  writer: SessionWriter,
  request: CreateSessionRequest & { readonly caller: Caller },
): Promise<SessionRecord> {
  const { caller, name = DEFAULT_SESSION_NAME, nodes = [] } = request;
  assertName(name);
  const createdAtMs = clock.nowMs();
  const sessionId = ids.next("ses");
  const places = nodes
    .map((node) => toPlace(sessionId, node, createdAtMs))
    .reduce<readonly SessionNode[]>((all, place) => addPlace(all, place), []);
  const session: SessionRecord = {
    sessionId,
    revision: 1,
    ownerId: caller.userId,
    name,
    status: "active",
    nodes: places,
    parentId: undefined,
    createdAtMs,
  };
  await writer.insert(session, async (tx) => {
    for (const { nodeId } of places) await assertAttachable(tx, caller, nodeId);
  });
  return session;
}

function assertName(name: string): void {
  if (name.length >= 1 && name.length <= MAX_SESSION_NAME_CHARACTERS && !/[\p{Cc}\p{Surrogate}]/u.test(name)) return;
  const message = `name: a session's name is 1 to ${MAX_SESSION_NAME_CHARACTERS} characters without control characters`;
  throw new CortexError("BAD_NAME", message, { details: { field: "name" } });
}
