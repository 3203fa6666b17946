/**
 * What a node must not forget: which attempts it holds and how far each came, and a few named settings.
 *
 * Promises an implementation makes:
 * - (N1) when `commit` resolves, the change survives a loss of power; a change is there wholly or not at all;
 * - (N2) changes run one after the other in the order of the calls; what one reads includes what the ones before wrote;
 * - (N3) a change that throws leaves nothing behind and rejects its own call only;
 * - (N4) records handed out and taken in are the store's own copies.
 *
 * A change may run more than once before it is committed, so it only reads and writes through its transaction.
 */

/**
 * How far an attempt came.
 *
 * - `stored`: verified, waiting for a slot. `started`: it may have run. `finished`: its response waits to be acknowledged.
 * - `never_started`, `cancelled_before`: tombstones; it did not start here and never will.
 * - `done`: all is reported; the record only recognises duplicates.
 */
export type AttemptState = "stored" | "started" | "finished" | "never_started" | "cancelled_before" | "done";

/** One attempt of a task as the node remembers it. */
export interface AttemptRecord {
  readonly taskId: string;
  /** From 1. */
  readonly attempt: number;
  readonly state: AttemptState;
  /** Hex; empty when no grant was seen (a cancel that came first). */
  readonly grantId: string;
  /** Milliseconds since the Unix epoch; 0 when it did not start. */
  readonly startedAtMs: number;
  /** The encoded TaskResponse, while `finished`. */
  readonly response: Uint8Array | undefined;
  /** Whether an output log may be in the spool. */
  readonly hasLog: boolean;
  /** Last record of the output log; meaningful from `finished` on. */
  readonly lastLogSeq: number;
  /** When the record changed, milliseconds since the Unix epoch; decides when it is forgotten. */
  readonly changedAtMs: number;
}

/** The names of settings. */
export type SettingName = "identity" | "highest_epoch";

/** What a change reads and writes. */
export interface StateTransaction {
  /** The record with the highest attempt of a task. */
  findTask(taskId: string): AttemptRecord | undefined;
  /** The record of an attempt, as this transaction has it. */
  findAttempt(taskId: string, attempt: number): AttemptRecord | undefined;
  /** Writes a record in place of one with the same task and attempt. */
  put(record: AttemptRecord): void;
  /** Removes the record of an attempt. */
  remove(taskId: string, attempt: number): void;
  /** Removes `done` records (without a log) and tombstones that changed before a moment; gives how many. */
  forgetBefore(changedAtMs: number): number;
  /** The value of a setting, as this transaction has it. */
  readSetting(name: SettingName): string | undefined;
  /** Sets or replaces a setting. */
  writeSetting(name: SettingName, value: string): void;
}

/** Where a node keeps what it must not forget. */
export interface NodeState {
  /**
   * Runs a change and makes it durable; gives what the change gave. Calls of one turn share one sync.
   *
   * @throws CortexError `STORAGE_FULL`: nothing changed and a later call may succeed; `UNAVAILABLE` when
   * closed; and whatever the change threw.
   */
  commit<T>(change: (transaction: StateTransaction) => T): Promise<T>;
  /**
   * All attempts that are not `done`, and those whose log is still in the spool; by task and attempt. A `response` may be
   * read only when it is looked at, and is then what is stored at that moment.
   */
  listOpen(): Promise<readonly AttemptRecord[]>;
  /** The value of a setting. */
  readSetting(name: SettingName): Promise<string | undefined>;
  /** Commits what was asked for and closes. Idempotent. */
  close(): Promise<void>;
}

/** Whether an attempt in this state is named when the node says what it holds. */
export function isOpen(record: AttemptRecord): boolean {
  return record.state !== "done" || record.hasLog;
}

/** Whether a record may be forgotten once it is old enough. */
export function isForgettable(record: AttemptRecord): boolean {
  if (record.hasLog) return false;
  return record.state === "done" || record.state === "never_started" || record.state === "cancelled_before";
}
