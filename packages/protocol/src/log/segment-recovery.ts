/**
 * Opens what an earlier process left: every segment is scanned, an unfinished write at the very end is cut off.
 *
 * The rule that tells an unfinished write from damage: all segments but the last were synced before the next one was
 * made, so only the last may end early, and only where nothing valid follows. Everything else is `DATA_CORRUPT`, named
 * by file, byte and record, and nothing is changed then.
 */

import { join } from "node:path";
import type { LogFile, LogFiles } from "./log-files.js";
import { createSegmentFile, type SegmentFile } from "./segment-file.js";
import { segmentName, tryParseSegmentName } from "./segment-header.js";
import { damaged } from "./segment-read.js";
import { hasRecordFrom, type SegmentScan, scanSegment } from "./segment-scan.js";

/** Where to look, and what new segments are made with. */
export interface RecoveryOptions {
  readonly files: LogFiles;
  readonly directory: string;
  readonly createSalt: () => number;
}

/** What was found. */
export interface RecoveredSegments {
  /** Oldest first; empty when the log has no file yet. */
  readonly segments: SegmentFile[];
  /** Bytes of an unfinished write that were cut off. */
  readonly cutBytes: number;
}

/**
 * Scans the segments of a log. Cost: reads every byte once.
 *
 * @throws CortexError `DATA_CORRUPT` when stored records do not hold or segments are missing in between.
 */
export async function recoverSegments(options: RecoveryOptions): Promise<RecoveredSegments> {
  const firstSeqs = await listFirstSeqs(options);
  const segments: SegmentFile[] = [];
  let cutBytes = 0;
  for (const firstSeq of firstSeqs) {
    const isLast = firstSeq === firstSeqs.at(-1);
    const expectedSeq = (segments.at(-1)?.lastSeq ?? firstSeq - 1) + 1;
    const path = join(options.directory, segmentName(firstSeq));
    if (firstSeq !== expectedSeq)
      throw damaged(path, { seq: expectedSeq, offset: 0 }, `the segment starts at ${firstSeq}`);
    const recovered = await recoverSegment(options, { path, firstSeq, isLast });
    segments.push(recovered.segment);
    cutBytes += recovered.cutBytes;
  }
  return { segments, cutBytes };
}

interface SegmentToRecover {
  readonly path: string;
  readonly firstSeq: number;
  readonly isLast: boolean;
}

async function listFirstSeqs({ files, directory }: RecoveryOptions): Promise<number[]> {
  const firstSeqs: number[] = [];
  for (const name of await files.list(directory)) {
    const firstSeq = tryParseSegmentName(name);
    if (firstSeq !== undefined) firstSeqs.push(firstSeq);
  }
  return firstSeqs.sort((a, b) => a - b);
}

async function recoverSegment(
  options: RecoveryOptions,
  target: SegmentToRecover,
): Promise<{ readonly segment: SegmentFile; readonly cutBytes: number }> {
  const { files, directory } = options;
  const { firstSeq } = target;
  const file = await files.open(target.path, "existing");
  try {
    const scan = await scanSegment(file, firstSeq);
    const cutBytes = await cutUnfinishedWrite(file, scan, target);
    const salt = scan.salt ?? options.createSalt();
    return { segment: createSegmentFile({ files, directory, firstSeq, salt, stored: scan.stored }), cutBytes };
  } finally {
    await file.close();
  }
}

async function cutUnfinishedWrite(file: LogFile, scan: SegmentScan, target: SegmentToRecover): Promise<number> {
  const { endBytes, lastSeq } = scan.stored;
  const cutBytes = scan.sizeBytes - endBytes;
  const place = { seq: lastSeq + 1, offset: endBytes };
  if (scan.salt === undefined && !(target.isLast && scan.isHeaderAbsent)) {
    throw damaged(target.path, place, "the segment's header does not hold");
  }
  if (cutBytes === 0) return 0;
  if (!target.isLast) throw damaged(target.path, place, "it does not hold, and a later segment follows");
  if (await hasRecordFrom(file, scan, endBytes)) {
    throw damaged(target.path, place, "it does not hold, and it is not the end of the log");
  }
  await file.truncate(endBytes);
  await file.datasync();
  return cutBytes;
}
