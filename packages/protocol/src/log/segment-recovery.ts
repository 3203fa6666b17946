/**
 * Opens what an earlier process left: every segment is scanned, an unfinished write at the very end is cut off.
 *
 * The rule that tells an unfinished write from damage: all segments but the last were synced before the next one was
 * made, so only the last may end early, and only where nothing valid follows. Everything else is damage, named by file,
 * byte and record: `DATA_CORRUPT`, and nothing is changed; or, for an owner who wants to go on, a hole: each segment
 * keeps the records before its damage, and one that keeps none is removed.
 */

import { join } from "node:path";
import type { LogFile, LogFiles } from "./log-files.js";
import { RECORD_HEADER_BYTES } from "./record-codec.js";
import { createSegmentFile, type SegmentFile } from "./segment-file.js";
import { segmentName, tryParseSegmentName } from "./segment-header.js";
import type { LogDamage } from "./segment-log.js";
import { damaged } from "./segment-read.js";
import { hasRecordFrom, type SegmentScan, scanSegment } from "./segment-scan.js";

/** Where to look, and what new segments are made with. */
export interface RecoveryOptions {
  readonly files: LogFiles;
  readonly directory: string;
  readonly createSalt: () => number;
  /** Makes damage a hole; see `SegmentLogOptions`. */
  readonly onDamage?: ((damage: LogDamage) => Promise<void>) | undefined;
}

/** What was found. */
export interface RecoveredSegments {
  /** Oldest first; empty when the log has no file yet. */
  readonly segments: SegmentFile[];
  /** Bytes of an unfinished write that were cut off. */
  readonly cutBytes: number;
  /** Bytes that do not hold; more than 0 only with `onDamage`. */
  readonly damagedBytes: number;
  /** Highest number that a record may have had, also one that is lost. */
  readonly lastSeq: number;
}

/**
 * Scans the segments of a log. Cost: reads every byte once.
 *
 * @throws CortexError `DATA_CORRUPT` when stored records do not hold or segments are missing in between, unless
 * there is an `onDamage`.
 */
export async function recoverSegments(options: RecoveryOptions): Promise<RecoveredSegments> {
  const firstSeqs = await listFirstSeqs(options);
  const segments: SegmentFile[] = [];
  let [cutBytes, damagedBytes, lastSeq] = [0, 0, 0];
  for (const firstSeq of firstSeqs) {
    const isLast = firstSeq === firstSeqs.at(-1);
    const path = join(options.directory, segmentName(firstSeq));
    checkOrder(options, { path, firstSeq, expectedSeq: (segments.at(-1)?.lastSeq ?? firstSeq - 1) + 1 });
    const recovered = await recoverSegment(options, { path, firstSeq, isLast });
    if (recovered.segment !== undefined) segments.push(recovered.segment);
    cutBytes += recovered.cutBytes;
    damagedBytes += recovered.damagedBytes;
    lastSeq = (recovered.segment?.lastSeq ?? firstSeq - 1) + Math.floor(recovered.damagedBytes / RECORD_HEADER_BYTES);
  }
  return { segments, cutBytes, damagedBytes, lastSeq };
}

/** Numbers that are missing are a hole for an owner who wants to go on; numbers that come twice never are. */
function checkOrder(
  { onDamage }: RecoveryOptions,
  { path, firstSeq, expectedSeq }: { readonly path: string; readonly firstSeq: number; readonly expectedSeq: number },
): void {
  if (firstSeq === expectedSeq || (onDamage !== undefined && firstSeq > expectedSeq)) return;
  throw damaged(path, { seq: expectedSeq, offset: 0 }, `the segment starts at ${firstSeq}`);
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

interface RecoveredSegment {
  /** Undefined when it keeps no record and was removed. */
  readonly segment: SegmentFile | undefined;
  readonly cutBytes: number;
  readonly damagedBytes: number;
}

async function recoverSegment(options: RecoveryOptions, target: SegmentToRecover): Promise<RecoveredSegment> {
  const { files, directory } = options;
  const { firstSeq, path } = target;
  const file = await files.open(path, "existing");
  let scan: SegmentScan;
  let cut: Pick<RecoveredSegment, "cutBytes" | "damagedBytes">;
  try {
    scan = await scanSegment(file, firstSeq);
    cut = await cutEnd(options, { ...target, file, scan });
  } finally {
    await file.close();
  }
  if (cut.damagedBytes > 0 && scan.stored.lastSeq < firstSeq) {
    await files.remove(path);
    return { segment: undefined, ...cut };
  }
  const salt = scan.salt ?? options.createSalt();
  return { segment: createSegmentFile({ files, directory, firstSeq, salt, stored: scan.stored }), ...cut };
}

interface ScannedSegment extends SegmentToRecover {
  readonly file: LogFile;
  readonly scan: SegmentScan;
}

/** Cuts off an unfinished write, and what is damaged when somebody takes note of that. */
async function cutEnd(
  { onDamage }: RecoveryOptions,
  segment: ScannedSegment,
): Promise<Pick<RecoveredSegment, "cutBytes" | "damagedBytes">> {
  const { scan, file, path } = segment;
  const { endBytes, lastSeq } = scan.stored;
  const sizeBytes = scan.sizeBytes - endBytes;
  const problem = await findDamage(segment, sizeBytes);
  const place = { seq: lastSeq + 1, offset: endBytes };
  if (problem !== undefined) {
    if (onDamage === undefined) throw damaged(path, place, problem);
    await onDamage({ path, ...place, sizeBytes });
  }
  if (sizeBytes > 0) {
    await file.truncate(endBytes);
    await file.datasync();
  }
  return problem === undefined ? { cutBytes: sizeBytes, damagedBytes: 0 } : { cutBytes: 0, damagedBytes: sizeBytes };
}

/** What is wrong with the bytes after the last valid record; nothing when they are an unfinished write. */
async function findDamage({ scan, file, isLast }: ScannedSegment, sizeBytes: number): Promise<string | undefined> {
  if (scan.salt === undefined && !(isLast && scan.isHeaderAbsent)) return "the segment's header does not hold";
  if (sizeBytes === 0) return undefined;
  if (!isLast) return "it does not hold, and a later segment follows";
  const isEnd = !(await hasRecordFrom(file, scan, scan.stored.endBytes));
  return isEnd ? undefined : "it does not hold, and it is not the end of the log";
}
