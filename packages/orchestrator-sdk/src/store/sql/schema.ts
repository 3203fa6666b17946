/**
 * The tables of the SQL stores, one code base for every dialect.
 *
 * Columns are what a query compares or orders by; the rest of a record is JSON text in `doc`, so that a new field of a
 * record is no migration. Times and counters are safe integers. Text columns hold ids and our own words; text that a
 * user chose is stored as a JSON literal (see `json-text.ts`), because NUL and lone surrogates do not survive as text.
 */

/** The dialects that the tables are written for. */
export type SqlDialect = "sqlite" | "postgres";

/** A user of the reference hub. */
export interface UserRow {
  user_id: string;
  token_sha256: string;
  doc: string;
}

/** An invite, a node or a session: what has an owner and a revision, and nothing else to look it up by. */
export interface OwnedRow {
  id: string;
  owner_id: string;
  revision: number;
  doc: string;
}

/** A task without its request. */
export interface TaskRow {
  task_id: string;
  session_id: string;
  owner_id: string;
  revision: number;
  state: string;
  /** 1 until the task ends, then 0; the indexes of the hub's own lists hold only live tasks. */
  is_live: number;
  node_id: string | null;
  /** JSON literal. */
  idempotency_key: string | null;
  doc: string;
}

/** What was asked for; apart from the task, so that a change of state does not rewrite it. */
export interface TaskRequestRow {
  task_id: string;
  doc: string;
}

/** How far the output of a task is committed; apart from the task, since it is written far more often. */
export interface TaskOutputRow {
  task_id: string;
  last_seq: number;
  stdout_bytes: number;
  stderr_bytes: number;
  attempt: number;
  origin_seq: number;
  has_gap: number;
  is_complete: number;
}

/** One event of a task. */
export interface TaskEventRow {
  task_id: string;
  seq: number;
  kind: string;
  at_ms: number;
  /** JSON; null for output, whose content is in a file. */
  data: string | null;
  byte_offset: number;
  byte_length: number;
}

/** The range of a user's feed that is kept. */
export interface FeedHeadRow {
  user_id: string;
  first_seq: number;
  last_seq: number;
}

/** One event of a user's feed. */
export interface FeedEventRow {
  user_id: string;
  seq: number;
  kind: string;
  at_ms: number;
  data: string;
}

/** A small named value. */
export interface KeyRow {
  /** JSON literal. */
  name: string;
  value: Uint8Array;
}

/** Every table by name. */
export interface HubSchema {
  users: UserRow;
  invites: OwnedRow;
  nodes: OwnedRow;
  sessions: OwnedRow;
  tasks: TaskRow;
  task_requests: TaskRequestRow;
  task_outputs: TaskOutputRow;
  task_events: TaskEventRow;
  feed_heads: FeedHeadRow;
  feed_events: FeedEventRow;
  keys: KeyRow;
}
