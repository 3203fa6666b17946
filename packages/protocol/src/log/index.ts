/**
 * Logs: append-only sequences without gaps, read by cursor, acknowledged cumulatively, kept until acknowledged.
 *
 * - {@link openSegmentLog}: a log in files, with bounded memory and back-pressure.
 * - {@link createSendWindow} and {@link createReceiveWindow}: a log over a connection, each record stored once.
 * - {@link openCharacterBytes}: where text may be cut into records.
 * - {@link followLog}: replay, then live, over any store that reads after a cursor.
 *
 * @packageDocumentation
 */

export { cutBetweenCharacters, openCharacterBytes } from "./character-cut.js";
export type { FollowOptions } from "./follow.js";
export { followLog } from "./follow.js";
export type { LogFile, LogFiles } from "./log-files.js";
export { nodeLogFiles, systemErrorCode } from "./log-files.js";
export { openSegmentLog } from "./open-segment-log.js";
export type { Receipt, ReceiveWindow } from "./receive-window.js";
export { createReceiveWindow } from "./receive-window.js";
export type { LogGap, LogRecord } from "./record.js";
export { decodeGap, encodeGap, GAP_KIND, MAX_RECORD_BYTES, MAX_RECORD_KIND } from "./record.js";
export type { LogDamage, LogRead, SegmentLog, SegmentLogOptions } from "./segment-log.js";
export {
  DEFAULT_MAX_LOG_BYTES,
  DEFAULT_MEMORY_BYTES,
  DEFAULT_READ_BYTES,
  DEFAULT_SEGMENT_BYTES,
  MAX_PENDING_BYTES,
  MAX_READ_BYTES,
  MIN_LOG_QUOTA_BYTES,
} from "./segment-log.js";
export type { SendRoom, SendWindow, SendWindowOptions } from "./send-window.js";
export { createSendWindow, DEFAULT_WINDOW_BYTES, DEFAULT_WINDOW_RECORDS } from "./send-window.js";
