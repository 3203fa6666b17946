/** Reads a log from a cursor to its end. */

import type { LogRecord } from "../../../src/log/record.js";
import type { SegmentLog } from "../../../src/log/segment-log.js";

/** All records after `afterSeq`, by reads of `maxBytes`. */
export async function readAll(
  log: SegmentLog,
  afterSeq = log.firstSeq - 1,
  maxBytes = 256 * 1024,
): Promise<LogRecord[]> {
  const all: LogRecord[] = [];
  let cursor = afterSeq;
  for (;;) {
    const records = await log.read({ afterSeq: cursor, maxBytes });
    const last = records.at(-1);
    if (last === undefined) return all;
    all.push(...records);
    cursor = last.seq;
  }
}

/** The payloads as text. */
export function textsOf(records: readonly LogRecord[]): string[] {
  return records.map((record) => Buffer.from(record.payload).toString());
}
