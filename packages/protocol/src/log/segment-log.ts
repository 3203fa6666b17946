/**
 * The contract of a log in files: records are appended, read by cursor, acknowledged cumulatively and kept until then.
 *
 * - A record is readable at once, survives the process soon after (a write is started at once), and the machine after
 *   `flush`.
 * - Nothing is made on disk before the first record. A log belongs to one process at a time.
 * - Memory is bounded: a producer that waits for `ready` never has more than {@link MAX_PENDING_BYTES} and one record
 *   waiting to be written, and beside these at most `memoryBytes` are kept for readers.
 * - What is acknowledged goes a whole segment at a time, so after opening again the log may give some acknowledged
 *   records once more; a reader that acknowledges also recognises duplicates.
 */

import type { Clock } from "../clock.js";
import type { LogFiles } from "./log-files.js";
import type { LogGap, LogRecord } from "./record.js";

/** Default length of a segment, in bytes. */
export const DEFAULT_SEGMENT_BYTES: number = 16 * 1024 * 1024;

/** Default memory for written records, in bytes: a reader this far behind still reads no file. */
export const DEFAULT_MEMORY_BYTES: number = 4 * 1024 * 1024;

/** Default quota on disk, in bytes. */
export const DEFAULT_MAX_LOG_BYTES: number = 1024 * 1024 * 1024;

/** Smallest quota, in bytes: the segment that is being written must never fill it alone. */
export const MIN_LOG_QUOTA_BYTES: number = 8 * 1024 * 1024;

/** Bytes that may wait to be written before producers have to wait. */
export const MAX_PENDING_BYTES: number = 4 * 1024 * 1024;

/** Default size of a read, in bytes. */
export const DEFAULT_READ_BYTES: number = 256 * 1024;

/** Largest read, in bytes. */
export const MAX_READ_BYTES: number = 16 * 1024 * 1024;

/** A stored part of a log that does not hold. */
export interface LogDamage {
  /** The segment's file. */
  readonly path: string;
  /** Where in it the damage starts, in bytes. */
  readonly offset: number;
  /** The first record that is lost. */
  readonly seq: number;
  /** Bytes from there to the end of the file. */
  readonly sizeBytes: number;
}

/** How a log is opened. */
export interface SegmentLogOptions {
  /** Made on the first append; belongs to the log alone. */
  readonly directory: string;
  /** @default {@link DEFAULT_SEGMENT_BYTES} */
  readonly segmentBytes?: number;
  /** @default {@link DEFAULT_MEMORY_BYTES} */
  readonly memoryBytes?: number;
  /**
   * Makes damage a hole in place of an error: called for each damaged segment before what does not hold is cut off or
   * the file is removed. A read that comes to a hole, also one of a missing segment, rejects with `PAST_RETENTION`
   * whose `earliest` is the first record after it. Must not reject.
   */
  readonly onDamage?: (damage: LogDamage) => Promise<void>;
  /** Last record that was ever appended, when it is known: what is missing up to it is a hole at the end. */
  readonly lastSeq?: number;
  /** Quota on disk, at least {@link MIN_LOG_QUOTA_BYTES}. @default {@link DEFAULT_MAX_LOG_BYTES} */
  readonly maxBytes?: number;
  /** @default systemClock */
  readonly clock?: Clock;
  /** The file operations. @default nodeLogFiles */
  readonly files?: LogFiles;
  /** A 32-bit number nobody can guess. @default from the system's random source */
  readonly createSalt?: () => number;
}

/** Which records to read. */
export interface LogRead {
  /** Records after this one are given; 0 reads from the start. */
  readonly afterSeq: number;
  /** Bytes, 24 for each record included. @default {@link DEFAULT_READ_BYTES} */
  readonly maxBytes?: number;
  /** Last record that may be given. @default the newest */
  readonly throughSeq?: number;
}

/** An open log. */
export interface SegmentLog extends AsyncDisposable {
  /** What opening found: `cutBytes` of an unfinished write were cut off, and `damagedBytes` did not hold. */
  readonly recovered: { readonly cutBytes: number; readonly damagedBytes: number };
  /** First record that is kept; `nextSeq` while there is none. */
  readonly firstSeq: number;
  /** Number the next record gets. */
  readonly nextSeq: number;
  /** Last record that is on disk for certain. */
  readonly durableSeq: number;
  /** Last record that was acknowledged; after opening, the one before the first that is kept. */
  readonly ackedSeq: number;
  /** Bytes kept, on disk or on the way there. */
  readonly sizeBytes: number;
  /** Bytes appended and not written yet. */
  readonly pendingBytes: number;
  /** Bytes of records in memory, those not written included; an estimate on the high side. */
  readonly memoryBytes: number;
  /**
   * Bytes on disk of the records after `seq`, while all of them are in memory, else infinite: how far a reader that got
   * to `seq` is behind, and whether it would read from the disk.
   */
  bytesAfter(seq: number): number;
  /** Whether {@link SegmentLog.append} takes a record now. */
  readonly canAppend: boolean;
  /**
   * Resolves once the log takes a record; waits for room in memory, in the quota and on the disk.
   *
   * Rejects when the log failed or was closed, and with the signal's reason.
   */
  ready(options?: { readonly signal?: AbortSignal }): Promise<void>;
  /**
   * Adds a record and gives its number. The payload belongs to the log from here on.
   *
   * @param kind - 0 to {@link MAX_RECORD_KIND}.
   * @throws CortexError and nothing is added: `TOO_LARGE` over {@link MAX_RECORD_BYTES}, `QUOTA_EXCEEDED` when
   * the producer did not wait, `STORAGE_FULL` while the disk is full, `UNAVAILABLE` when closed.
   */
  append(kind: number, payload: Uint8Array): number;
  /**
   * Adds a record for what is left out. It is taken even when the quota is just used up, and by a log that failed, which
   * keeps it in memory only.
   *
   * @throws CortexError `STORAGE_FULL` while the disk is full, `UNAVAILABLE` when closed.
   */
  appendGap(gap: LogGap): number;
  /**
   * Resolves once all records appended so far are on disk; calls at the same time share one sync.
   *
   * @throws CortexError `STORAGE_FULL`: nothing was lost and a later call may succeed; `INTERNAL`: the log failed.
   */
  flush(): Promise<void>;
  /**
   * Reads records in order, as many as fit and at least one if there is one.
   *
   * @throws CortexError `PAST_RETENTION` (`details.earliest`), `DATA_CORRUPT`, `UNAVAILABLE` when closed.
   */
  read(range: LogRead): Promise<readonly LogRecord[]>;
  /** Calls `listener` after each append, in the same turn; it must not throw. Gives the way to end that. */
  onAppend(listener: () => void): () => void;
  /**
   * Records through `seq` are no longer needed. An acknowledgement that says nothing new changes nothing.
   *
   * @throws CortexError `BAD_REQUEST` when there is no such record.
   */
  ack(throughSeq: number): void;
  /** Flushes and closes. Rejects when the flush failed; the files are closed then, too. Idempotent. */
  close(): Promise<void>;
  /** Closes without writing what is pending, and removes the files. Idempotent. */
  delete(): Promise<void>;
}
