/**
 * Cuts the bytes of one output stream into records: none too long, and none that ends inside a character.
 *
 * (S1) The start of a character waits for its rest, but no longer than {@link CHARACTER_WAIT_MS}: a lone byte is output too.
 * (S2) What waited goes out before what comes after it.
 */
import { type Clock, MAX_OUTPUT_CHUNK_BYTES, type Timer } from "@cortex-mesh/protocol";
import { cutBetweenCharacters } from "@cortex-mesh/protocol/log";
import { createCharacterCarry } from "./character-carry.js";

/** How long the start of a character waits for its rest, in milliseconds. */
export const CHARACTER_WAIT_MS = 100;

/** One stream of an attempt. */
export interface StreamWriter {
  /** Resolves when there is room for more. Calls of one stream come one after the other. */
  write(bytes: Uint8Array): Promise<void>;
  /** Passes on what waits. */
  end(): Promise<void>;
}

/** Makes the writer of a stream; `emit` takes one record after the other and never rejects. */
export function createStreamWriter(clock: Clock, emit: (record: Uint8Array) => Promise<void>): StreamWriter {
  const carry = createCharacterCarry();
  let timer: Timer | undefined;
  /** A flush by time that is still on its way (S2). */
  let flushing: Promise<void> | undefined;

  function flush(): Promise<void> {
    timer?.cancel();
    timer = undefined;
    if (!carry.isEmpty) flushing = Promise.all([flushing, emit(carry.flush())]).then(() => undefined);
    return flushing ?? Promise.resolve();
  }

  return {
    async write(bytes) {
      timer?.cancel();
      timer = undefined;
      if (flushing !== undefined) {
        await flushing;
        flushing = undefined;
      }
      let rest = carry.push(bytes);
      while (rest.byteLength > 0) {
        const cutBytes = cutBetweenCharacters(rest, MAX_OUTPUT_CHUNK_BYTES);
        await emit(rest.subarray(0, cutBytes));
        rest = rest.subarray(cutBytes);
      }
      if (!carry.isEmpty) timer = clock.setTimer(() => void flush(), CHARACTER_WAIT_MS);
    },
    end: flush,
  };
}
