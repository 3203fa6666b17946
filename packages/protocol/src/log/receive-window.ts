/**
 * Tells a receiver of a log which records are new: each number is accepted once and in order. Pure.
 *
 * A duplicate is acknowledged again and otherwise ignored; a gap means that the stream is broken and is made anew.
 */

/** What to do with a record. */
export type Receipt = "accept" | "duplicate" | "gap";

/** The receiving side of one log. */
export interface ReceiveWindow {
  /** The number that is accepted next. */
  readonly expectedSeq: number;
  /** Judges a record; one that is accepted counts as received from here on. */
  accept(seq: number): Receipt;
  /** Goes back, or on, to after a record: what was accepted later was not stored. */
  reset(afterSeq: number): void;
}

/** Makes the window of a receiver that has everything through `afterSeq`. */
export function createReceiveWindow({ afterSeq = 0 }: { readonly afterSeq?: number } = {}): ReceiveWindow {
  let expectedSeq = checkSeq(afterSeq) + 1;
  return {
    get expectedSeq() {
      return expectedSeq;
    },
    accept(seq) {
      if (!Number.isSafeInteger(seq) || seq < 1) throw new RangeError(`seq must be a positive integer, got ${seq}`);
      if (seq < expectedSeq) return "duplicate";
      if (seq > expectedSeq) return "gap";
      expectedSeq += 1;
      return "accept";
    },
    reset(newAfterSeq) {
      expectedSeq = checkSeq(newAfterSeq) + 1;
    },
  };
}

function checkSeq(afterSeq: number): number {
  if (Number.isSafeInteger(afterSeq) && afterSeq >= 0) return afterSeq;
  throw new RangeError(`afterSeq must be a non-negative integer, got ${afterSeq}`);
}
