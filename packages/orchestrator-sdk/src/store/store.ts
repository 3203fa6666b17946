/**
 * Where a hub keeps what it knows.
 *
 * Implement {@link HubStore} to back a hub with another database, then run `hubStoreConformance` against it.
 *
 * Promises an implementation makes:
 * - S1 `transaction` is atomic and serialisable against every other writer; it resolves when its writes are durable
 *   (for a store that claims `durable`), and a `work` that throws leaves nothing behind.
 * - S2 a resolved transaction is visible to every later read on the same store.
 * - S3 a write that names a stale revision throws `REVISION_CONFLICT` and changes nothing. So does an insert of an id
 *   that exists, an update of a record that does not, and an update that names another owner.
 * - S4 records are values, going in and coming out: changing one changes nothing in the store (a store may hand out
 *   frozen ones). A property that is `undefined` may come back absent; everything else comes back as it was.
 * - S5 a read shows only what its scope may see; the rest is `undefined` or absent, never an error.
 * - S6 lists come in a fixed order, and `after` continues one without repeating or missing what was there before. A
 *   `limit` outside its range is a `RangeError`.
 * - S7 disposing twice is harmless, and every call after it rejects with `UNAVAILABLE`.
 *
 * What a store refuses by itself: `UNAVAILABLE` when it is closed, when more transactions wait than it holds, or while
 * its database is out of reach; `STORAGE_FULL` when the disk is full (nothing was written); `DATA_CORRUPT`.
 */
import type { InviteId, NodeId, SessionId, TaskId, UserId } from "@cortex-mesh/protocol";
import type {
  FeedEvent,
  InviteRecord,
  NewFeedEvent,
  NewTaskEvent,
  NodeRecord,
  OutputRecord,
  SessionRecord,
  TaskEvent,
  TaskRecord,
  TaskRequestRecord,
  TaskState,
  UserRecord,
} from "./records.js";
import type { Scope } from "./scope.js";

/** One page of a list, in id order (newest last). */
export interface PageRequest {
  /** Ids greater than this one. */
  readonly after?: string | undefined;
  /** At most this many, 1 to 1,000. */
  readonly limit: number;
}

/** Users; only the reference hub keeps any. */
export interface UserReads {
  /** One user. */
  get(userId: UserId): Promise<UserRecord | undefined>;
  /** The user whose token has this SHA-256 (hex). */
  byToken(tokenSha256: string): Promise<UserRecord | undefined>;
  /** Users in id order. */
  list(page: PageRequest): Promise<UserRecord[]>;
}
/** Writes of {@link UserReads}. */
export interface UserWrites {
  /** @throws CortexError `REVISION_CONFLICT` when the user or token exists. */
  insert(user: UserRecord): Promise<void>;
  /** Whether there was one. */
  remove(userId: UserId): Promise<boolean>;
}

/** Invites. */
export interface InviteReads {
  /** One invite. */
  get(scope: Scope, inviteId: InviteId): Promise<InviteRecord | undefined>;
  /** Invites in id order. */
  list(scope: Scope, page: PageRequest): Promise<InviteRecord[]>;
}
/** Writes of {@link InviteReads}. */
export interface InviteWrites {
  /** @throws CortexError `REVISION_CONFLICT` when the id exists. */
  insert(invite: InviteRecord): Promise<void>;
  /** `invite.revision` must be the stored one plus 1. @throws CortexError `REVISION_CONFLICT` */
  update(invite: InviteRecord): Promise<void>;
}

/** Nodes. */
export interface NodeReads {
  /** One node. */
  get(scope: Scope, nodeId: NodeId): Promise<NodeRecord | undefined>;
  /** Nodes in id order. */
  list(scope: Scope, page: PageRequest): Promise<NodeRecord[]>;
}
/** Writes of {@link NodeReads}. */
export interface NodeWrites {
  /** @throws CortexError `REVISION_CONFLICT` when the id exists. */
  insert(node: NodeRecord): Promise<void>;
  /** `node.revision` must be the stored one plus 1. @throws CortexError `REVISION_CONFLICT` */
  update(node: NodeRecord): Promise<void>;
}

/** Sessions. */
export interface SessionReads {
  /** One session. */
  get(scope: Scope, sessionId: SessionId): Promise<SessionRecord | undefined>;
  /** Sessions in id order. */
  list(scope: Scope, page: PageRequest): Promise<SessionRecord[]>;
}
/** Writes of {@link SessionReads}. */
export interface SessionWrites {
  /** @throws CortexError `REVISION_CONFLICT` when the id exists. */
  insert(session: SessionRecord): Promise<void>;
  /** `session.revision` must be the stored one plus 1. @throws CortexError `REVISION_CONFLICT` */
  update(session: SessionRecord): Promise<void>;
  /** Removes it with its tasks, their events and output rows. Whether there was one. */
  remove(sessionId: SessionId): Promise<boolean>;
}

/** Which tasks to list; all conditions hold together. */
export interface TaskFilter {
  readonly sessionId?: SessionId;
  /** The node of the current attempt. */
  readonly nodeId?: NodeId;
  readonly states?: readonly TaskState[];
}

/** Tasks. */
export interface TaskReads {
  /** One task. */
  get(scope: Scope, taskId: TaskId): Promise<TaskRecord | undefined>;
  /** The immutable request; apart from the record, since it may be large. */
  request(scope: Scope, taskId: TaskId): Promise<TaskRequestRecord | undefined>;
  /** The task that an owner submitted with this key. */
  byIdempotencyKey(ownerId: UserId, key: string): Promise<TaskRecord | undefined>;
  /** Tasks in id order, which is the order of submission. */
  list(scope: Scope, filter: TaskFilter, page: PageRequest): Promise<TaskRecord[]>;
}
/** Writes of {@link TaskReads}. */
export interface TaskWrites {
  /**
   * Inserts the task with its request and an empty output record.
   *
   * @throws CortexError `REVISION_CONFLICT` when the id, or the owner's idempotency key, exists.
   */
  insert(task: TaskRecord, request: TaskRequestRecord): Promise<void>;
  /** `task.revision` must be the stored one plus 1. @throws CortexError `REVISION_CONFLICT` */
  update(task: TaskRecord): Promise<void>;
}

/** Task events and how far output is committed. */
export interface EventReads {
  /** How far the output of a task is committed. */
  output(scope: Scope, taskId: TaskId): Promise<OutputRecord | undefined>;
  /** Events with a number above `afterSeq`, in order, at most `limit`. */
  read(scope: Scope, taskId: TaskId, page: { readonly afterSeq: number; readonly limit: number }): Promise<TaskEvent[]>;
}
/** Writes of {@link EventReads}. */
export interface EventWrites {
  /**
   * Numbers and stores events. Returns the number of the first; `lastSeq` of the output record moves along.
   *
   * @throws CortexError `NOT_FOUND` when there is no such task.
   */
  append(taskId: TaskId, events: readonly NewTaskEvent[]): Promise<number>;
  /**
   * Replaces everything but `lastSeq` of the output record.
   *
   * @throws CortexError `NOT_FOUND` when there is no such task.
   */
  setOutput(output: Omit<OutputRecord, "lastSeq">): Promise<void>;
}

/** The feed of each user. */
export interface FeedReads {
  /** Events with a number above `afterSeq`, in order, at most `limit`. */
  read(userId: UserId, page: { readonly afterSeq: number; readonly limit: number }): Promise<FeedEvent[]>;
  /** The range that is kept: `lastSeq` is 0 and `firstSeq` 1 for a feed that never had an event. */
  range(userId: UserId): Promise<{ readonly firstSeq: number; readonly lastSeq: number }>;
}
/** Writes of {@link FeedReads}. */
export interface FeedWrites {
  /** Numbers and stores events. Returns the number of the first. */
  append(userId: UserId, events: readonly NewFeedEvent[]): Promise<number>;
  /** Drops the oldest events, so that at most `keep` remain. Numbers go on from where they were. */
  prune(userId: UserId, keep: number): Promise<void>;
}

/** Small named values: the hub's id, its keys. */
export interface KeyReads {
  /** The value of a name. */
  get(name: string): Promise<Uint8Array | undefined>;
}
/** Writes of {@link KeyReads}. */
export interface KeyWrites {
  /** Sets or replaces a value. */
  set(name: string, value: Uint8Array): Promise<void>;
}

/** What can be read, in and outside a transaction. */
export interface StoreReads {
  readonly users: UserReads;
  readonly invites: InviteReads;
  readonly nodes: NodeReads;
  readonly sessions: SessionReads;
  readonly tasks: TaskReads;
  readonly events: EventReads;
  readonly feed: FeedReads;
  readonly keys: KeyReads;
}

/** What can be done inside a transaction. */
export interface StoreTransaction {
  readonly users: UserReads & UserWrites;
  readonly invites: InviteReads & InviteWrites;
  readonly nodes: NodeReads & NodeWrites;
  readonly sessions: SessionReads & SessionWrites;
  readonly tasks: TaskReads & TaskWrites;
  readonly events: EventReads & EventWrites;
  readonly feed: FeedReads & FeedWrites;
  readonly keys: KeyReads & KeyWrites;
}

/** What a store can do beyond the minimum; the conformance suite tests only what is claimed. */
export interface StoreCapabilities {
  /** Records outlive the process. */
  readonly durable: boolean;
  /** Several hubs may share it. */
  readonly shared: boolean;
}

/** Where a hub keeps what it knows. The promises S1 to S7 are in the module comment. */
export interface HubStore extends StoreReads, AsyncDisposable {
  readonly capabilities: StoreCapabilities;
  /**
   * Runs `work` atomically; calls on the transaction after `work` settled reject with `INTERNAL`.
   *
   * Transactions take turns, so `work` waits for nothing but the transaction it is given: waiting in it for another
   * transaction of the same store never ends.
   */
  transaction<T>(work: (tx: StoreTransaction) => Promise<T>): Promise<T>;
  /** Waits for what is queued, then closes. */
  close(): Promise<void>;
}
