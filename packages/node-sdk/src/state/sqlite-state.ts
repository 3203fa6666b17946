/**
 * The state of a node in one SQLite file, `node.db` (0600): WAL, synchronous=FULL, one sync for the changes of a turn.
 *
 * Statements take their parameters as an array: the driver ends the process when it gets a lone Buffer.
 */
import { chmodSync, closeSync, openSync } from "node:fs";
import Database from "libsql";
import { CortexError } from "@cortex-mesh/protocol";
import { createCommitQueue } from "./commit-queue.js";
import type { AttemptRecord, AttemptState, NodeState, SettingName, StateTransaction } from "./node-state.js";

const SCHEMA_VERSION = 1;

const SCHEMA = `
  create table attempts (
    task_id text not null,
    attempt integer not null,
    state text not null,
    grant_id text not null,
    started_at_ms integer not null,
    response blob,
    has_log integer not null,
    last_log_seq integer not null,
    changed_at_ms integer not null,
    primary key (task_id, attempt)
  ) without rowid;
  create index attempts_open on attempts (task_id, attempt) where state <> 'done' or has_log = 1;
  create table settings (name text primary key, value text not null) without rowid;
  pragma user_version = ${SCHEMA_VERSION};
`;

/**
 * Opens the file, or makes it.
 *
 * @throws CortexError `VERSION_UNSUPPORTED` when a newer release wrote it; `DATA_CORRUPT` when it is damaged.
 */
export function openSqliteState(path: string): NodeState {
  // Made by us and not by the driver, so that it is private from the first moment.
  closeSync(openSync(path, "a", 0o600));
  chmodSync(path, 0o600);
  const database = new Database(path);
  try {
    prepareDatabase(database, path);
  } catch (error) {
    database.close();
    throw toStateError(error, path);
  }
  const transaction = createTransaction(database);
  const listOpen = database.prepare(
    `select ${COLUMNS_BUT_RESPONSE} from attempts where state <> 'done' or has_log = 1 order by task_id, attempt`,
  );
  const queue = createCommitQueue<StateTransaction>({
    commitBatch: (run) => inTransaction(database, path, () => run(transaction)),
    defer: (run) => void setImmediate(run),
  });
  let isClosed = false;
  const response = database.prepare("select response from attempts where task_id = ? and attempt = ?");
  const readResponse = ({ task_id, attempt }: ListedRow): Uint8Array | undefined =>
    isClosed
      ? undefined
      : toResponse((response.get([task_id, attempt]) as Pick<AttemptRow, "response"> | undefined)?.response);
  return {
    commit: (change) => queue.add(change),
    listOpen: async () => (listOpen.all([]) as ListedRow[]).map((row) => toListed(row, readResponse)),
    readSetting: async (name) => transaction.readSetting(name),
    async close() {
      if (isClosed) return;
      isClosed = true;
      queue.close();
      database.close();
    },
  };
}

/** Results may be large and many: a list leaves them where they are. */
const COLUMNS_BUT_RESPONSE = "task_id, attempt, state, grant_id, started_at_ms, has_log, last_log_seq, changed_at_ms";

function prepareDatabase(database: Database.Database, path: string): void {
  database.pragma("journal_mode = WAL");
  database.pragma("synchronous = FULL");
  const version = (database.prepare("pragma user_version").get([]) as { readonly user_version: number }).user_version;
  if (version > SCHEMA_VERSION) {
    throw new CortexError("VERSION_UNSUPPORTED", `${path} was written by a newer release of Cortex; update the node`);
  }
  if (version === 0) inTransaction(database, path, () => database.exec(SCHEMA));
}

function inTransaction(database: Database.Database, path: string, run: () => void): void {
  database.exec("begin immediate");
  let failure: { readonly error: unknown } | undefined;
  try {
    run();
  } catch (error) {
    failure = { error };
  }
  if (failure !== undefined) {
    // A full disk has ended the transaction already.
    if (database.inTransaction) database.exec("rollback");
    throw toStateError(failure.error, path);
  }
  try {
    database.exec("commit");
  } catch (error) {
    if (database.inTransaction) database.exec("rollback");
    throw toStateError(error, path);
  }
}

interface AttemptRow {
  readonly task_id: string;
  readonly attempt: number;
  readonly state: AttemptState;
  readonly grant_id: string;
  readonly started_at_ms: number;
  /** The driver gives a Buffer for a single row and an ArrayBuffer for each of several. */
  readonly response: Uint8Array | ArrayBuffer | null;
  readonly has_log: number;
  readonly last_log_seq: number;
  readonly changed_at_ms: number;
}

type ListedRow = Omit<AttemptRow, "response">;

function createTransaction(database: Database.Database): StateTransaction {
  const findTask = database.prepare("select * from attempts where task_id = ? order by attempt desc limit 1");
  const findAttempt = database.prepare("select * from attempts where task_id = ? and attempt = ?");
  const put = database.prepare("insert or replace into attempts values (?, ?, ?, ?, ?, ?, ?, ?, ?)");
  const remove = database.prepare("delete from attempts where task_id = ? and attempt = ?");
  const forget = database.prepare(
    `delete from attempts
      where state in ('done', 'never_started', 'cancelled_before') and has_log = 0 and changed_at_ms < ?`,
  );
  const readSetting = database.prepare("select value from settings where name = ?");
  const writeSetting = database.prepare("insert or replace into settings values (?, ?)");
  return {
    findTask: (taskId) => toRecordOrNone(findTask.get([taskId])),
    findAttempt: (taskId, attempt) => toRecordOrNone(findAttempt.get([taskId, attempt])),
    put: (record) => void put.run(toParameters(record)),
    remove: (taskId, attempt) => void remove.run([taskId, attempt]),
    forgetBefore: (changedAtMs) => forget.run([changedAtMs]).changes,
    readSetting: (name: SettingName) => (readSetting.get([name]) as { readonly value: string } | undefined)?.value,
    writeSetting: (name, value) => void writeSetting.run([name, value]),
  };
}

function toParameters(record: AttemptRecord): unknown[] {
  return [
    record.taskId,
    record.attempt,
    record.state,
    record.grantId,
    record.startedAtMs,
    record.response === undefined ? null : Buffer.from(record.response),
    record.hasLog ? 1 : 0,
    record.lastLogSeq,
    record.changedAtMs,
  ];
}

function toRecordOrNone(row: unknown): AttemptRecord | undefined {
  return row === undefined || row === null ? undefined : toRecord(row as AttemptRow);
}

function toRecord(row: AttemptRow): AttemptRecord {
  return { ...toFields(row), response: toResponse(row.response) };
}

/** A record whose response is read when somebody looks at it. */
function toListed(row: ListedRow, readResponse: (row: ListedRow) => Uint8Array | undefined): AttemptRecord {
  return {
    ...toFields(row),
    get response() {
      return readResponse(row);
    },
  };
}

function toResponse(bytes: AttemptRow["response"] | undefined): Uint8Array | undefined {
  return bytes === null || bytes === undefined ? undefined : new Uint8Array(bytes);
}

function toFields(row: ListedRow): Omit<AttemptRecord, "response"> {
  return {
    taskId: row.task_id,
    attempt: row.attempt,
    state: row.state,
    grantId: row.grant_id,
    startedAtMs: row.started_at_ms,
    hasLog: row.has_log === 1,
    lastLogSeq: row.last_log_seq,
    changedAtMs: row.changed_at_ms,
  };
}

function toStateError(error: unknown, path: string): unknown {
  const code = (error as { readonly code?: unknown }).code;
  if (code === "SQLITE_FULL")
    return new CortexError("STORAGE_FULL", `no room on the disk for ${path}`, { cause: error });
  if (code === "SQLITE_CORRUPT" || code === "SQLITE_NOTADB") {
    return new CortexError("DATA_CORRUPT", `${path} is damaged`, { cause: error });
  }
  return error;
}
