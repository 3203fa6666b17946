/**
 * Opens a log in files and puts its parts together: memory tail, writer, segments, back-pressure.
 */

import { randomBytes } from "node:crypto";
import type { Clock } from "../clock.js";
import { systemClock } from "../clock.js";
import { CortexError, isCortexError } from "../errors.js";
import type { AppendGate, AppendRefusal } from "./append-gate.js";
import { createAppendGate, toAppendError } from "./append-gate.js";
import { nodeLogFiles, systemErrorCode } from "./log-files.js";
import type { LogTail } from "./log-tail.js";
import { createLogTail } from "./log-tail.js";
import type { LogRecord } from "./record.js";
import { encodeGap, GAP_KIND, MAX_RECORD_BYTES, MAX_RECORD_KIND } from "./record.js";
import type { SegmentFile } from "./segment-file.js";
import type { LogRead, SegmentLog, SegmentLogOptions } from "./segment-log.js";
import {
  DEFAULT_MAX_LOG_BYTES,
  DEFAULT_MEMORY_BYTES,
  DEFAULT_READ_BYTES,
  DEFAULT_SEGMENT_BYTES,
  MAX_PENDING_BYTES,
  MAX_READ_BYTES,
  MIN_LOG_QUOTA_BYTES,
} from "./segment-log.js";
import { recoverSegments } from "./segment-recovery.js";
import type { SegmentSet } from "./segment-set.js";
import { createSegmentSet } from "./segment-set.js";
import type { SegmentWriter } from "./segment-writer.js";
import { createSegmentWriter } from "./segment-writer.js";

/**
 * Room that is kept for gap records beyond the limits, in bytes: they are what a full log has to say. The record that
 * used up a limit may go beyond it, too.
 */
const GAP_RESERVE_BYTES: number = MAX_RECORD_BYTES + 64 * 1024;

/** A payload whose memory is this much larger than itself is copied, so that a few bytes do not hold a large buffer. */
const SHARED_MEMORY_BYTES: number = 4 * 1024;

/** Segments a quota is divided in at least, so that acknowledging frees room long before it is used up. */
const MIN_SEGMENTS_IN_QUOTA = 4;

/**
 * Opens the log in a directory, empty where there is none.
 *
 * Cost: reads every stored byte once.
 *
 * @example
 * ```ts
 * await using log = await openSegmentLog({ directory });
 * await log.ready();
 * log.append(1, Buffer.from("hello"));
 * await log.flush();
 * ```
 * @throws CortexError `DATA_CORRUPT` when stored records do not hold and there is no `onDamage`; an unfinished write
 * at the end is cut off.
 */
export async function openSegmentLog(options: SegmentLogOptions): Promise<SegmentLog> {
  const limits = resolveLimits(options);
  const { directory, files = nodeLogFiles, clock = systemClock } = options;
  const createSalt = (): number => (options.createSalt ?? randomSalt)() >>> 0;
  const { onDamage } = options;
  const recovered = await recoverSegments({ files, directory, createSalt, onDamage });
  const { segments, cutBytes, damagedBytes } = recovered;
  const lastSeq = Math.max(segments.at(-1)?.lastSeq ?? 0, options.lastSeq ?? recovered.lastSeq);
  const tail = createLogTail({ nextSeq: lastSeq + 1, memoryBytes: limits.memoryBytes });
  const onChange = (): void => afterChange(log);
  const set = createSegmentSet({ files, directory, createSalt, segments, onDrop: onChange });
  const { segmentBytes } = limits;
  const writer = createSegmentWriter({ directory, clock, set, segmentBytes, tail, onChange });
  const log: LogState = {
    directory,
    clock,
    maxBytes: limits.maxBytes,
    recovered: { cutBytes, damagedBytes },
    onDamage,
    noted: new Set(),
    tail,
    set,
    writer,
    gate: createAppendGate(() => findRefusal(log, 0)),
    listeners: new Set(),
    ackedSeq: (segments[0]?.firstSeq ?? 1) - 1,
    reading: undefined,
    closedError: undefined,
    closing: undefined,
    deleting: undefined,
  };
  return toSegmentLog(log);
}

interface LogState {
  readonly directory: string;
  readonly clock: Clock;
  readonly maxBytes: number;
  readonly recovered: SegmentLog["recovered"];
  readonly onDamage: SegmentLogOptions["onDamage"];
  /** Segments whose damage was found by a read and said. */
  readonly noted: Set<SegmentFile>;
  readonly tail: LogTail;
  readonly set: SegmentSet;
  readonly writer: SegmentWriter;
  readonly gate: AppendGate;
  readonly listeners: Set<() => void>;
  ackedSeq: number;
  /** The segment that was read last, whose file is open for the next read. */
  reading: SegmentFile | undefined;
  closedError: CortexError | undefined;
  closing: Promise<void> | undefined;
  deleting: Promise<void> | undefined;
}

function toSegmentLog(log: LogState): SegmentLog {
  const { tail, set, writer } = log;
  return {
    recovered: log.recovered,
    get firstSeq() {
      return set.firstSeq ?? tail.firstSeq;
    },
    get nextSeq() {
      return tail.nextSeq;
    },
    get durableSeq() {
      return writer.durableSeq;
    },
    get ackedSeq() {
      return log.ackedSeq;
    },
    get sizeBytes() {
      return sizeBytes(log);
    },
    get pendingBytes() {
      return pendingBytes(log);
    },
    get memoryBytes() {
      return tail.heldBytes;
    },
    bytesAfter: tail.bytesAfter,
    get canAppend() {
      return findRefusal(log, 0) === undefined;
    },
    ready: (options) => log.gate.ready(options),
    append: (kind, payload) => {
      if (!Number.isInteger(kind) || kind < 0 || kind > MAX_RECORD_KIND) {
        throw new RangeError(`kind must be an integer from 0 to ${MAX_RECORD_KIND}, got ${kind}`);
      }
      return append(log, { kind, payload, reserveBytes: 0 });
    },
    appendGap: (gap) => append(log, { kind: GAP_KIND, payload: encodeGap(gap), reserveBytes: GAP_RESERVE_BYTES }),
    flush: async () => writer.flush(tail.nextSeq - 1),
    read: (range) => read(log, range),
    onAppend(listener) {
      const call = (): void => listener();
      log.listeners.add(call);
      return () => log.listeners.delete(call);
    },
    ack: (throughSeq) => ack(log, throughSeq),
    close: () => close(log),
    delete: () => deleteLog(log),
    [Symbol.asyncDispose]: () => close(log),
  };
}

function pendingBytes(log: LogState): number {
  return log.tail.pushedBytes - log.writer.writtenBytes;
}

function sizeBytes(log: LogState): number {
  return log.set.sizeBytes + pendingBytes(log);
}

function findRefusal(log: LogState, reserveBytes: number): AppendRefusal | undefined {
  const { pause, failure } = log.writer;
  const isGap = reserveBytes > 0;
  // A log that failed still takes gaps: who reads it hears of them while this process lives.
  const end = log.closedError ?? (isGap ? undefined : failure);
  if (end !== undefined) return { reason: "ended", error: end };
  if (pause !== undefined && failure === undefined) return { reason: "paused", error: pause };
  if (pendingBytes(log) >= MAX_PENDING_BYTES + reserveBytes)
    return { reason: "pending", limitBytes: MAX_PENDING_BYTES };
  if (sizeBytes(log) >= log.maxBytes + reserveBytes) return { reason: "quota", limitBytes: log.maxBytes };
  return undefined;
}

interface Appended {
  readonly kind: number;
  readonly payload: Uint8Array;
  readonly reserveBytes: number;
}

function append(log: LogState, { kind, payload, reserveBytes }: Appended): number {
  if (payload.byteLength > MAX_RECORD_BYTES) {
    throw new CortexError("TOO_LARGE", `a record holds up to ${MAX_RECORD_BYTES} bytes, got ${payload.byteLength}`);
  }
  const refusal = findRefusal(log, reserveBytes);
  if (refusal !== undefined) throw toAppendError(refusal);
  const seq = log.tail.nextSeq;
  log.tail.push({ seq, kind, atMs: log.clock.nowMs(), payload: withoutSpareMemory(payload) });
  log.writer.kick();
  for (const listener of log.listeners) listener();
  return seq;
}

function withoutSpareMemory(payload: Uint8Array): Uint8Array {
  const isMostlySpare = payload.buffer.byteLength > 2 * payload.byteLength + SHARED_MEMORY_BYTES;
  return isMostlySpare ? new Uint8Array(payload) : payload;
}

async function read(log: LogState, range: LogRead): Promise<readonly LogRecord[]> {
  assertOpen(log);
  const { afterSeq, maxBytes = DEFAULT_READ_BYTES } = range;
  checkInteger("afterSeq", afterSeq, { min: 0, max: Number.MAX_SAFE_INTEGER });
  checkInteger("maxBytes", maxBytes, { min: 1, max: MAX_READ_BYTES });
  const throughSeq = Math.min(range.throughSeq ?? Number.POSITIVE_INFINITY, log.tail.nextSeq - 1);
  if (afterSeq >= throughSeq) return [];
  if (afterSeq + 1 >= log.tail.firstSeq) return log.tail.slice({ afterSeq, maxBytes, throughSeq });
  const segment = log.set.find(afterSeq + 1);
  if (segment === undefined) throw pastRetention(log, nextAfter(log, afterSeq + 1));
  if (log.reading !== segment) await closeLastRead(log);
  log.reading = segment;
  try {
    return await segment.read({ afterSeq, maxBytes, throughSeq });
  } catch (error) {
    // Closed or deleted while it was read.
    assertOpen(log);
    // Acknowledged and removed since it was looked up.
    if (systemErrorCode(error) === "ENOENT") throw pastRetention(log, segment.lastSeq + 1);
    if (log.onDamage === undefined || !isCortexError(error) || error.code !== "DATA_CORRUPT") throw error;
    await noteDamage(log, segment, afterSeq + 1);
    // What of the segment is after the damage is not looked for.
    throw pastRetention(log, nextAfter(log, segment.lastSeq));
  }
}

function assertOpen({ closedError }: LogState): void {
  if (closedError !== undefined) throw closedError;
}

/** The first record after `seq` that can be read. */
function nextAfter(log: LogState, seq: number): number {
  return log.set.findNext(seq) ?? log.tail.firstSeq;
}

async function noteDamage(log: LogState, segment: SegmentFile, seq: number): Promise<void> {
  if (log.noted.has(segment)) return;
  log.noted.add(segment);
  await log.onDamage?.({ path: segment.path, offset: 0, seq, sizeBytes: segment.endBytes });
}

/** A sealed segment's file is open only while it is read; the newest one's stays open for writing. */
async function closeLastRead(log: LogState): Promise<void> {
  const last = log.reading;
  log.reading = undefined;
  if (last !== undefined && last !== log.set.newest) await last.release();
}

function pastRetention(log: LogState, earliest: number): CortexError {
  return new CortexError("PAST_RETENTION", `the log in ${log.directory} is kept from record ${earliest} on`, {
    details: { earliest },
  });
}

function ack(log: LogState, throughSeq: number): void {
  if (!Number.isSafeInteger(throughSeq) || throughSeq < 0 || throughSeq >= log.tail.nextSeq) {
    throw new CortexError(
      "BAD_REQUEST",
      `record ${throughSeq} is acknowledged, the last one is ${log.tail.nextSeq - 1}`,
    );
  }
  if (throughSeq <= log.ackedSeq || log.closedError !== undefined) return;
  log.ackedSeq = throughSeq;
  log.set.drop(throughSeq);
  afterChange(log);
}

function afterChange(log: LogState): void {
  log.tail.trim({ writtenSeq: log.writer.writtenSeq, ackedSeq: log.ackedSeq });
  log.gate.update();
}

function close(log: LogState): Promise<void> {
  if (log.deleting !== undefined) return log.deleting;
  log.closing ??= flushAndRelease(log, endAppending(log));
  return log.closing;
}

async function flushAndRelease(log: LogState, reason: CortexError): Promise<void> {
  try {
    await log.writer.flush(log.tail.nextSeq - 1);
  } finally {
    await log.writer.stop(reason);
    await log.set.close();
    log.tail.clear();
  }
}

function deleteLog(log: LogState): Promise<void> {
  log.deleting ??= removeFiles(log, endAppending(log));
  return log.deleting;
}

async function removeFiles(log: LogState, reason: CortexError): Promise<void> {
  await log.writer.stop(reason);
  // How closing went no longer matters: what it wrote is removed.
  await log.closing?.catch(() => undefined);
  log.tail.clear();
  await log.set.removeAll();
}

function endAppending(log: LogState): CortexError {
  log.closedError ??= new CortexError("UNAVAILABLE", `the log in ${log.directory} is closed`);
  log.gate.update();
  return log.closedError;
}

function resolveLimits(options: SegmentLogOptions): { segmentBytes: number; memoryBytes: number; maxBytes: number } {
  const {
    segmentBytes = DEFAULT_SEGMENT_BYTES,
    memoryBytes = DEFAULT_MEMORY_BYTES,
    maxBytes = DEFAULT_MAX_LOG_BYTES,
  } = options;
  checkInteger("segmentBytes", segmentBytes, { min: 1, max: Number.MAX_SAFE_INTEGER });
  checkInteger("memoryBytes", memoryBytes, { min: 0, max: Number.MAX_SAFE_INTEGER });
  checkInteger("maxBytes", maxBytes, { min: MIN_LOG_QUOTA_BYTES, max: Number.MAX_SAFE_INTEGER });
  const quotaShareBytes = Math.floor(maxBytes / MIN_SEGMENTS_IN_QUOTA);
  return { segmentBytes: Math.min(segmentBytes, quotaShareBytes), memoryBytes, maxBytes };
}

function checkInteger(name: string, value: number, { min, max }: { min: number; max: number }): void {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return;
  throw new RangeError(`${name} must be an integer from ${min} to ${max}, got ${value}`);
}

function randomSalt(): number {
  return randomBytes(4).readUInt32LE(0);
}
