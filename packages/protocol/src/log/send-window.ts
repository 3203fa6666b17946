/**
 * What a sender of a log may have under way: bounded in records and bytes, freed by cumulative acknowledgements. Pure.
 *
 * One record may always be under way, even one larger than the byte limit: otherwise it could never be sent.
 */

import { CortexError } from "../errors.js";

/** Default limit of records under way. */
export const DEFAULT_WINDOW_RECORDS = 256;

/** Default limit of bytes under way. */
export const DEFAULT_WINDOW_BYTES: number = 4 * 1024 * 1024;

/** Limits of a window and where it starts. */
export interface SendWindowOptions {
  /** @default {@link DEFAULT_WINDOW_RECORDS} */
  readonly maxRecords?: number;
  /** @default {@link DEFAULT_WINDOW_BYTES} */
  readonly maxBytes?: number;
  /** Last record the receiver has. @default 0 */
  readonly afterSeq?: number;
}

/** How much may be sent now. */
export interface SendRoom {
  readonly records: number;
  /** What fits; the first record under way may be larger. */
  readonly bytes: number;
}

/** The records of one log that are sent and not acknowledged. */
export interface SendWindow {
  /** Record to be sent next. */
  readonly nextSeq: number;
  /** Last record the receiver acknowledged. */
  readonly ackedSeq: number;
  /** Records and bytes under way. */
  readonly inFlight: SendRoom;
  /** What may be sent now. */
  available(): SendRoom;
  /** Whether a record of this size may be sent now. */
  canSend(sizeBytes: number): boolean;
  /** Notes that a record was sent: the next one, and only when {@link SendWindow.canSend} allows it. */
  sent(seq: number, sizeBytes: number): void;
  /**
   * Notes an acknowledgement; one that says nothing new changes nothing.
   *
   * @throws CortexError `BAD_REQUEST` for a record that was not sent.
   */
  acked(throughSeq: number): void;
  /** Starts again after a record the receiver has: nothing is under way on a new connection. */
  reset(afterSeq: number): void;
}

/** Makes a window with nothing under way. */
export function createSendWindow(options: SendWindowOptions = {}): SendWindow {
  const { maxRecords = DEFAULT_WINDOW_RECORDS, maxBytes = DEFAULT_WINDOW_BYTES } = options;
  checkPositive("maxRecords", maxRecords);
  checkPositive("maxBytes", maxBytes);
  let ackedSeq = checkSeq("afterSeq", options.afterSeq ?? 0);
  let sizes: number[] = [];
  let inFlightBytes = 0;
  const canSend = (sizeBytes: number): boolean =>
    sizes.length < maxRecords && (sizes.length === 0 || inFlightBytes + sizeBytes <= maxBytes);
  return {
    get nextSeq() {
      return ackedSeq + sizes.length + 1;
    },
    get ackedSeq() {
      return ackedSeq;
    },
    get inFlight() {
      return { records: sizes.length, bytes: inFlightBytes };
    },
    available: () => ({ records: maxRecords - sizes.length, bytes: Math.max(0, maxBytes - inFlightBytes) }),
    canSend,
    sent(seq, sizeBytes) {
      const nextSeq = ackedSeq + sizes.length + 1;
      if (seq !== nextSeq) throw new RangeError(`record ${nextSeq} is sent next, got ${seq}`);
      if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) throw new RangeError(`sizeBytes is ${sizeBytes}`);
      if (!canSend(sizeBytes)) throw new RangeError(`record ${seq} of ${sizeBytes} bytes is over the window`);
      sizes.push(sizeBytes);
      inFlightBytes += sizeBytes;
    },
    acked(throughSeq) {
      const lastSentSeq = ackedSeq + sizes.length;
      if (!Number.isSafeInteger(throughSeq) || throughSeq > lastSentSeq) {
        throw new CortexError("BAD_REQUEST", `record ${throughSeq} is acknowledged, ${lastSentSeq} was sent last`);
      }
      if (throughSeq <= ackedSeq) return;
      for (const sizeBytes of sizes.splice(0, throughSeq - ackedSeq)) inFlightBytes -= sizeBytes;
      ackedSeq = throughSeq;
    },
    reset(afterSeq) {
      ackedSeq = checkSeq("afterSeq", afterSeq);
      sizes = [];
      inFlightBytes = 0;
    },
  };
}

function checkPositive(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1)
    throw new RangeError(`${name} must be a positive integer, got ${value}`);
}

function checkSeq(name: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new RangeError(`${name} must be a non-negative integer, got ${value}`);
}
