/**
 * Standard input of a skill that is a function: what is written comes out of an async iterator, in order.
 *
 * A write resolves when its bytes were taken, so that whoever sends them never sends far ahead.
 */
import { CortexError } from "@cortex-mesh/protocol";
import type { SkillInputSink } from "./node-skill.js";

/** Both ends of the channel. */
export interface InputChannel extends SkillInputSink {
  /** May be read once. */
  readonly stream: AsyncIterable<Uint8Array>;
  /** Refuses what waits and what comes. Idempotent. */
  close(): void;
}

interface Piece {
  readonly bytes: Uint8Array;
  readonly onTaken: () => void;
  readonly onRefused: (error: CortexError) => void;
}

/** Makes an empty channel. */
export function createInputChannel(): InputChannel {
  const waiting: Piece[] = [];
  let hasEnded = false;
  let wake = (): void => {};

  async function* read(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const piece = waiting.shift();
      if (piece !== undefined) {
        piece.onTaken();
        yield piece.bytes;
      } else if (hasEnded) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  }

  return {
    stream: { [Symbol.asyncIterator]: read },
    write(bytes) {
      if (hasEnded) return Promise.reject(inputEnded());
      return new Promise((resolve, reject) => {
        waiting.push({ bytes, onTaken: resolve, onRefused: reject });
        wake();
      });
    },
    end() {
      hasEnded = true;
      wake();
    },
    close() {
      hasEnded = true;
      for (const piece of waiting.splice(0)) piece.onRefused(inputEnded());
      wake();
    },
  };
}

function inputEnded(): CortexError {
  return new CortexError("ALREADY_ENDED", "the task takes no more input");
}
