/**
 * The output of one function in the order of its calls, whether it waits for them or not.
 *
 * What a skill that does not wait piles up is bounded: beyond {@link MAX_PENDING_OUTPUT_BYTES} the newest is left out and
 * counted as lost by the task's output.
 */
import { MAX_PENDING_OUTPUT_BYTES } from "@cortex-mesh/protocol";
import { encodeJson } from "./encode-json.js";
import type { OutputStream, SkillRequest } from "./node-skill.js";

/** Writes in order. */
export interface OrderedWriter {
  write(stream: OutputStream, data: string | Uint8Array): Promise<void>;
  /** @throws TypeError for a value that JSON cannot carry. */
  progress(value: unknown): void;
  /** Resolves when all that was written is handed on. */
  flushed(): Promise<void>;
  /** What comes later goes nowhere. */
  close(): void;
}

/** Makes a writer to the output of a task. */
export function createOrderedWriter(target: Pick<SkillRequest, "write" | "lose" | "progress">): OrderedWriter {
  let last: Promise<void> = Promise.resolve();
  let pendingBytes = 0;
  let isClosed = false;
  const hand = (bytes: Uint8Array, on: (bytes: Uint8Array) => Promise<void>): Promise<void> => {
    if (pendingBytes > 0 && pendingBytes + bytes.byteLength > MAX_PENDING_OUTPUT_BYTES) {
      target.lose(bytes.byteLength);
      return last;
    }
    pendingBytes += bytes.byteLength;
    last = last.then(async () => {
      if (!isClosed) await on(bytes);
      pendingBytes -= bytes.byteLength;
    });
    return last;
  };
  return {
    write(stream, data) {
      // Copied: the skill may use its buffer again.
      const bytes = typeof data === "string" ? Buffer.from(data, "utf8") : Uint8Array.from(data);
      return hand(bytes, (piece) => target.write(stream, piece));
    },
    progress(value) {
      // Encoded now: the skill may change the value, and it hears at once of one that is no JSON.
      void hand(encodeJson(value), (json) => target.progress(json));
    },
    flushed: () => last,
    close() {
      isClosed = true;
    },
  };
}
