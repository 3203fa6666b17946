/**
 * Where in a segment a record starts: a sparse list of (number, offset), so that memory stays small for any log. Pure.
 */

/** Distance between two entries in a segment, in bytes: what a search reads at most before the record it wants. */
export const INDEX_STEP_BYTES: number = 64 * 1024;

/** A record's number and where it starts in its segment. */
export interface RecordPlace {
  readonly seq: number;
  readonly offset: number;
}

/** The sparse list. */
export interface OffsetIndex {
  /** Offers a place, in rising order; it is kept when it is a step away from the last one kept. */
  add(seq: number, offset: number): void;
  /** The last place kept at or before `seq`; `undefined` when there is none. */
  find(seq: number): RecordPlace | undefined;
}

/** Makes an empty index. */
export function createOffsetIndex(): OffsetIndex {
  const places: RecordPlace[] = [];
  return {
    add(seq, offset) {
      const last = places.at(-1);
      if (last === undefined || offset - last.offset >= INDEX_STEP_BYTES) places.push({ seq, offset });
    },
    find(seq) {
      let low = 0;
      let high = places.length;
      while (low < high) {
        const middle = (low + high) >>> 1;
        const place = places[middle];
        if (place !== undefined && place.seq <= seq) low = middle + 1;
        else high = middle;
      }
      return places[low - 1];
    },
  };
}
