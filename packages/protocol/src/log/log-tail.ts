/**
 * The newest records of a log, in memory: those not written yet, and as many written ones as fit.
 *
 * A reader that keeps up is served from here and never touches a file. Pure; one array, no holes (R1 of `record.ts`).
 */

import type { LogRecord } from "./record.js";
import { recordSizeBytes } from "./record-codec.js";

/** What a record costs in memory beside its payload, in bytes; an estimate on the high side. */
const RECORD_OVERHEAD_BYTES = 256;

/** Dead entries at the array's start that are worth a move of the rest. */
const COMPACT_AFTER_COUNT = 1024;

/** Where a slice starts and how much it may hold. */
export interface TailSlice {
  readonly afterSeq: number;
  /** Bytes on disk, headers included; one record is given even when it alone is larger. */
  readonly maxBytes: number;
  /** Last number that may be given. */
  readonly throughSeq: number;
}

/** The records a log holds in memory. */
export interface LogTail {
  /** Number of the first record held; the next number to come when none is held. */
  readonly firstSeq: number;
  /** Number the next record gets. */
  readonly nextSeq: number;
  /** Bytes on disk of all records ever added. */
  readonly pushedBytes: number;
  /** Memory held, in bytes. */
  readonly heldBytes: number;
  /** Bytes on disk of the records after `seq`; infinite when one of them is not held any more. */
  bytesAfter(seq: number): number;
  /** Adds the record with {@link LogTail.nextSeq}. */
  push(record: LogRecord): void;
  /** Records after `afterSeq`, which is at least `firstSeq - 1`. */
  slice(range: TailSlice): LogRecord[];
  /** Lets go of written records: those acknowledged, and the oldest while more than the limit is held. */
  trim(state: { readonly writtenSeq: number; readonly ackedSeq: number }): void;
  /** Lets go of everything. */
  clear(): void;
}

/** Makes an empty tail whose first record is `nextSeq`. */
export function createLogTail(options: { readonly nextSeq: number; readonly memoryBytes: number }): LogTail {
  let records: (LogRecord | undefined)[] = [];
  /** For each of `records`: bytes on disk of all that was ever added before it. */
  let starts: number[] = [];
  let head = 0;
  let heldBytes = 0;
  let pushedBytes = 0;
  let nextSeq = options.nextSeq;
  const firstSeq = (): number => nextSeq - (records.length - head);

  function dropFirst(record: LogRecord): void {
    heldBytes -= memoryOf(record);
    records[head] = undefined;
    head += 1;
    if (head < COMPACT_AFTER_COUNT && head < records.length) return;
    records = records.slice(head);
    starts = starts.slice(head);
    head = 0;
  }

  return {
    get firstSeq() {
      return firstSeq();
    },
    get nextSeq() {
      return nextSeq;
    },
    get pushedBytes() {
      return pushedBytes;
    },
    get heldBytes() {
      return heldBytes;
    },
    bytesAfter(seq) {
      if (seq >= nextSeq - 1) return 0;
      if (seq + 1 < firstSeq()) return Number.POSITIVE_INFINITY;
      return pushedBytes - (starts[head + seq + 1 - firstSeq()] ?? 0);
    },
    push(record) {
      if (record.seq !== nextSeq) throw new RangeError(`the next record is ${nextSeq}, got ${record.seq}`);
      records.push(record);
      starts.push(pushedBytes);
      heldBytes += memoryOf(record);
      pushedBytes += recordSizeBytes(record);
      nextSeq += 1;
    },
    slice: (range) => takeRecords(records, head + range.afterSeq + 1 - firstSeq(), range),
    trim({ writtenSeq, ackedSeq }) {
      for (let record = records[head]; record !== undefined; record = records[head]) {
        const isWanted = record.seq > ackedSeq && heldBytes <= options.memoryBytes;
        if (record.seq > writtenSeq || isWanted) break;
        dropFirst(record);
      }
    },
    clear() {
      records = [];
      starts = [];
      head = 0;
      heldBytes = 0;
    },
  };
}

function takeRecords(records: readonly (LogRecord | undefined)[], start: number, range: TailSlice): LogRecord[] {
  const taken: LogRecord[] = [];
  let at = start;
  let totalBytes = 0;
  for (let record = records[at]; record !== undefined && record.seq <= range.throughSeq; record = records[at]) {
    totalBytes += recordSizeBytes(record);
    if (totalBytes > range.maxBytes && taken.length > 0) break;
    taken.push(record);
    at += 1;
  }
  return taken;
}

function memoryOf(record: LogRecord): number {
  return record.payload.byteLength + RECORD_OVERHEAD_BYTES;
}
