/**
 * Keeps the characters of one stream whole: the start of one that is not finished waits for its rest in the next bytes.
 *
 * Only what can still become a character waits, at most three bytes; everything else passes as it is. Pure.
 */
import { openCharacterBytes } from "@cortex-mesh/protocol/log";

/** The bytes of one stream that wait. */
export interface CharacterCarry {
  readonly isEmpty: boolean;
  /** Takes the next bytes and gives what is to be passed on now, in order; maybe nothing. */
  push(bytes: Uint8Array): Uint8Array;
  /** Gives what waits, because its rest does not come. */
  flush(): Uint8Array;
}

const NOTHING = new Uint8Array(0);

/** Makes a carry with nothing in it. */
export function createCharacterCarry(): CharacterCarry {
  let carried = NOTHING;
  return {
    get isEmpty() {
      return carried.byteLength === 0;
    },
    push(bytes) {
      const whole = carried.byteLength === 0 ? bytes : Buffer.concat([carried, bytes]);
      const openBytes = openCharacterBytes(whole);
      const passedBytes = whole.byteLength - openBytes;
      // Copied: a few bytes must not hold the buffer of a whole read.
      carried = openBytes === 0 ? NOTHING : Uint8Array.from(whole.subarray(passedBytes));
      return whole.subarray(0, passedBytes);
    },
    flush() {
      const flushed = carried;
      carried = NOTHING;
      return flushed;
    },
  };
}
