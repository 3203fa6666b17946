/** Everything a memory store holds, the changes of one transaction, and a view of the one through the other. */
import type {
  FeedEvent,
  InviteRecord,
  NodeRecord,
  OutputRecord,
  SessionRecord,
  TaskEvent,
  TaskRecord,
  TaskRequestRecord,
  UserRecord,
} from "../records.js";
import { createMemoryLog, type LogChanges, type LogView, type MemoryLog, viewLog } from "./memory-log.js";
import { createMemoryTable, type MemoryTable, type TableView, viewTable } from "./memory-table.js";

/** Row types of the tables, by the table's name. */
interface Rows {
  users: UserRecord;
  /** Token hash to user. */
  userTokens: string;
  invites: InviteRecord;
  nodes: NodeRecord;
  sessions: SessionRecord;
  tasks: TaskRecord;
  requests: TaskRequestRecord;
  /** Without `lastSeq`, which is the log's. */
  outputs: Omit<OutputRecord, "lastSeq">;
  /** Owner and idempotency key to task. */
  idempotencyKeys: string;
  keys: Uint8Array;
}

/** Entry types of the logs, by the log's name. */
interface Logs {
  taskEvents: TaskEvent;
  feed: FeedEvent;
}

const TABLES = {
  users: true,
  userTokens: true,
  invites: true,
  nodes: true,
  sessions: true,
  tasks: true,
  requests: true,
  outputs: true,
  idempotencyKeys: true,
  keys: true,
} as const satisfies Record<keyof Rows, true>;

const LOGS = { taskEvents: true, feed: true } as const satisfies Record<keyof Logs, true>;

/** Committed content. */
export type MemoryState = { [Name in keyof Rows]: MemoryTable<Rows[Name]> } & {
  [Name in keyof Logs]: MemoryLog<Logs[Name]>;
};

/** What one transaction did. */
export type MemoryChanges = { [Name in keyof Rows]: Map<string, Rows[Name] | undefined> } & {
  [Name in keyof Logs]: LogChanges<Logs[Name]>;
};

/** What one reader sees. */
export type MemoryView = { [Name in keyof Rows]: TableView<Rows[Name]> } & {
  [Name in keyof Logs]: LogView<Logs[Name]>;
};

/** An empty state. */
export function createMemoryState(): MemoryState {
  return { ...mapNames(TABLES, () => createMemoryTable()), ...mapNames(LOGS, () => createMemoryLog()) } as MemoryState;
}

/** A state of its own with the same content; entries are frozen and shared. */
export function copyMemoryState(state: MemoryState): MemoryState {
  return {
    ...mapNames(TABLES, (name) => state[name].copy()),
    ...mapNames(LOGS, (name) => state[name].copy()),
  } as MemoryState;
}

/** No changes yet. */
export function createMemoryChanges(): MemoryChanges {
  return { ...mapNames(TABLES, () => new Map()), ...mapNames(LOGS, () => new Map()) };
}

/** Moves the changes of a transaction into a state. */
export function applyMemoryChanges(state: MemoryState, changes: MemoryChanges): void {
  for (const name of namesOf(TABLES)) (state[name] as MemoryTable<unknown>).apply(changes[name]);
  for (const name of namesOf(LOGS)) (state[name] as MemoryLog<unknown>).apply(changes[name]);
}

/** Shows `state` through `changes`; `check` is called before each access. */
export function viewMemory(state: MemoryState, changes: MemoryChanges, check: () => void): MemoryView {
  return {
    ...mapNames(TABLES, (name) =>
      viewTable(state[name] as MemoryTable<unknown>, changes[name] as Map<string, unknown>, check),
    ),
    ...mapNames(LOGS, (name) =>
      viewLog(state[name] as MemoryLog<unknown>, changes[name] as LogChanges<unknown>, check),
    ),
  } as MemoryView;
}

function mapNames<Name extends string, T>(
  names: Readonly<Record<Name, true>>,
  make: (name: Name) => T,
): Record<Name, T> {
  const made: Partial<Record<Name, T>> = {};
  for (const name in names) made[name] = make(name);
  return made as Record<Name, T>;
}

function namesOf<Name extends string>(names: Readonly<Record<Name, true>>): Name[] {
  return Object.keys(names) as Name[];
}
