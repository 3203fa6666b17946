/**
 * The output that waits to be sent: one log an attempt, in `SPOOL/<taskId>.<attempt>/`.
 *
 * A log goes when its attempt has ended, the hub has all of it and has acknowledged the end, or the hub refuses it.
 *
 * What is damaged in a log is copied aside (`damaged-logs.ts`) and is a hole from then on, which the sender tells the hub
 * about. What only cannot be opened now, as for want of descriptors or memory, is left as it is.
 */
import { join } from "node:path";
import { type Clock, isCortexError } from "@cortex-mesh/protocol";
import {
  type LogFiles,
  nodeLogFiles,
  openSegmentLog,
  type SegmentLog,
  systemErrorCode,
} from "@cortex-mesh/protocol/log";
import type { AttemptKey } from "../inbox/inbox.js";
import { createDamagedLogs, type DamagedLogs } from "./damaged-logs.js";
import { createSendFlow, type SendFlow } from "./send-flow.js";

/** The log of one attempt. */
export interface SpooledLog extends AttemptKey {
  readonly log: SegmentLog;
  /** Between the task that writes the log and the connection that sends it. */
  readonly flow: SendFlow;
  /** Last record, once the attempt has ended. */
  lastSeq: number | undefined;
  /** The hub has acknowledged the end. */
  isAnswered: boolean;
}

/** The logs of a node. */
export interface Spool {
  /**
   * Opens the log of an attempt, or gives the open one.
   *
   * @param lastSeq - the last record it has, when that is known: it may have lost its end.
   * @throws what kept it from being opened; nothing was changed, and a later call may succeed.
   */
  open(key: AttemptKey, lastSeq?: number): Promise<SpooledLog>;
  /** The open log of an attempt. */
  find(key: AttemptKey): SpooledLog | undefined;
  /** The open logs, oldest first. */
  list(): readonly SpooledLog[];
  /** Calls `listener` for each log that is opened from now on. Gives the way to end that. */
  onOpened(listener: (log: SpooledLog) => void): () => void;
  /** Deletes a log and its files; harmless when there is none. */
  remove(key: AttemptKey): Promise<void>;
  /**
   * Deletes logs that nobody wanted to open since the start: a loss of power may undo the deletion of a log. Never rejects.
   */
  removeUnopened(): Promise<void>;
  /** Closes all logs; their files stay. Idempotent. */
  close(): Promise<void>;
}

/** What {@link createSpool} needs. */
export interface SpoolOptions {
  readonly directory: string;
  readonly clock: Clock;
  /** @default the files of this machine */
  readonly files?: LogFiles;
  /** Length of a log's files. @default the log's own */
  readonly segmentBytes?: number;
  /** Where damaged logs go. @default a directory in the spool, on this machine */
  readonly damagedLogs?: DamagedLogs;
}

/** Makes a spool; nothing is opened before it is asked for. */
export function createSpool(options: SpoolOptions): Spool {
  const { directory, clock, files = nodeLogFiles, segmentBytes } = options;
  const { damagedLogs = createDamagedLogs(directory) } = options;
  const logs = new Map<string, SpooledLog>();
  const opening = new Map<string, Promise<SpooledLog>>();
  const listeners = new Set<(log: SpooledLog) => void>();
  /** Logs that are wanted and could not be opened. */
  const unopened = new Set<string>();

  const openFiles = (name: string, lastSeq: number | undefined): Promise<SegmentLog> =>
    openSegmentLog({
      directory: join(directory, name),
      clock,
      files,
      onDamage: ({ path }) => damagedLogs.keepFile(name, path),
      ...(lastSeq === undefined ? {} : { lastSeq }),
      ...(segmentBytes === undefined ? {} : { segmentBytes }),
    });

  async function openLog({ taskId, attempt }: AttemptKey, lastSeq: number | undefined): Promise<SpooledLog> {
    const name = nameOf({ taskId, attempt });
    unopened.add(name);
    const log = await openOrReplace({ openFiles, damagedLogs }, name, lastSeq);
    unopened.delete(name);
    const flow = createSendFlow(log);
    const spooled: SpooledLog = { taskId, attempt, log, flow, lastSeq: undefined, isAnswered: false };
    logs.set(name, spooled);
    for (const listener of listeners) listener(spooled);
    return spooled;
  }

  return {
    async open(key, lastSeq) {
      const name = nameOf(key);
      const known = logs.get(name);
      if (known !== undefined) return known;
      const pending = opening.get(name) ?? openLog(key, lastSeq);
      opening.set(name, pending);
      try {
        return await pending;
      } finally {
        opening.delete(name);
      }
    },
    find: (key) => logs.get(nameOf(key)),
    list: () => [...logs.values()],
    onOpened(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async remove(key) {
      const spooled = logs.get(nameOf(key)) ?? (await opening.get(nameOf(key)));
      if (spooled === undefined) return;
      logs.delete(nameOf(key));
      await spooled.log.delete();
    },
    removeUnopened: () => removeOthers(files, directory, (name) => logs.has(name) || unopened.has(name)),
    async close() {
      await Promise.all([...logs.values()].map((spooled) => spooled.log.close()));
    },
  };
}

/** The name of a log's directory; what is beside logs in the spool has other names. */
const LOG_NAME = /^task_[^.]+\.[0-9]+$/;

async function removeOthers(files: LogFiles, directory: string, isWanted: (name: string) => boolean): Promise<void> {
  try {
    for (const name of await files.list(directory)) {
      if (!LOG_NAME.test(name) || isWanted(name)) continue;
      await removeDirectory(files, join(directory, name));
    }
  } catch {
    // Not even their names can be read: the next start tries again.
  }
}

async function removeDirectory(files: LogFiles, path: string): Promise<void> {
  try {
    for (const file of await files.list(path)) await files.remove(join(path, file));
    await files.removeDirectory(path);
  } catch {
    // What stays costs room only; the next start tries again.
  }
}

interface LogOpener {
  readonly openFiles: (name: string, lastSeq: number | undefined) => Promise<SegmentLog>;
  readonly damagedLogs: DamagedLogs;
}

async function openOrReplace(opener: LogOpener, name: string, lastSeq: number | undefined): Promise<SegmentLog> {
  try {
    return await opener.openFiles(name, lastSeq);
  } catch (error) {
    if (!isDamage(error)) throw error;
    // Not even its files can be read or put in order: all of it is a hole. More records than bytes it never had.
    const sizeBytes = await opener.damagedLogs.moveAside(name);
    return await opener.openFiles(name, lastSeq ?? sizeBytes);
  }
}

/** The disk cannot give it back, or there is something else in its place. */
const DAMAGE_CODES: ReadonlySet<string> = new Set(["EIO", "ENOTDIR", "EISDIR"]);

/** Whether a log will never open: any other error may pass. */
function isDamage(error: unknown): boolean {
  return isCortexError(error) ? error.code === "DATA_CORRUPT" : DAMAGE_CODES.has(systemErrorCode(error) ?? "");
}

function nameOf({ taskId, attempt }: AttemptKey): string {
  return `${taskId}.${attempt}`;
}
