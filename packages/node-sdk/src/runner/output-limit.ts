/** Counts the output of one attempt against its limit, and what is not kept. Pure. */
import { cutBetweenCharacters, type LogGap } from "@cortex-mesh/protocol/log";

/** The account of one attempt. */
export interface OutputLimit {
  /** What was not kept so far. */
  readonly lost: LogGap;
  /** Counts bytes and gives as many as are kept; the rest is lost, and so is all that follows. */
  keep(bytes: Uint8Array): Uint8Array;
  /** Counts a value of which a part is of no use: whether it is kept. One that is not is left out, and not lost. */
  keepWhole(value: Uint8Array): boolean;
  /** Counts output that is not kept. */
  readonly lose: (sizeBytes: number) => void;
}

/** Makes the account; `onLimit` is called once, when output passes the limit. */
export function createOutputLimit(limitBytes: number, onLimit: () => void): OutputLimit {
  let keptBytes = 0;
  let lost: LogGap = { lostBytes: 0, lostRecords: 0 };
  let isOver = false;
  const lose = (sizeBytes: number): void => {
    lost = { lostBytes: lost.lostBytes + sizeBytes, lostRecords: lost.lostRecords + 1 };
  };
  return {
    get lost() {
      return lost;
    },
    keep(bytes) {
      const roomBytes = isOver ? 0 : limitBytes - keptBytes;
      if (bytes.byteLength <= roomBytes) {
        keptBytes += bytes.byteLength;
        return bytes;
      }
      const kept = bytes.subarray(0, roomBytes === 0 ? 0 : cutBetweenCharacters(bytes, roomBytes));
      keptBytes += kept.byteLength;
      lose(bytes.byteLength - kept.byteLength);
      if (!isOver) {
        isOver = true;
        onLimit();
      }
      return kept;
    },
    keepWhole(value) {
      if (isOver || value.byteLength > limitBytes - keptBytes) return false;
      keptBytes += value.byteLength;
      return true;
    },
    lose,
  };
}
