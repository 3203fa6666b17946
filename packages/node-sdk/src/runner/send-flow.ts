/**
 * Holds the producer of a log while its sender is behind, so that what is sent comes from memory and not from the disk.
 *
 * Without a sender nothing is held: the log then grows on the disk, within its own limits. No I/O.
 */
import type { SegmentLog } from "@cortex-mesh/protocol/log";

/** What a producer may be ahead of the sender, in bytes: well within what a log keeps in memory. */
export const MAX_UNSENT_BYTES: number = 2 * 1024 * 1024;

/** Where the sender of one log is, and who waits for it. */
export interface SendFlow {
  /** Whether a producer may go on. */
  readonly hasRoom: boolean;
  /** The sender got to this record; undefined when nobody sends the log any more. */
  moved(sentSeq: number | undefined): void;
  /** Resolves when a producer may go on, or when the signal fires; never rejects. */
  ready(signal: AbortSignal): Promise<void>;
}

/** Makes the flow of a log that nobody sends yet. */
export function createSendFlow(log: Pick<SegmentLog, "bytesAfter">): SendFlow {
  let sentSeq: number | undefined;
  const waiters = new Set<() => void>();
  const hasRoom = (): boolean => sentSeq === undefined || log.bytesAfter(sentSeq) <= MAX_UNSENT_BYTES;
  const wait = (signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      const wake = (): void => {
        waiters.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      waiters.add(wake);
      signal.addEventListener("abort", wake);
    });
  return {
    get hasRoom() {
      return hasRoom();
    },
    moved(seq) {
      sentSeq = seq;
      if (waiters.size > 0 && hasRoom()) for (const wake of [...waiters]) wake();
    },
    async ready(signal) {
      while (!hasRoom() && !signal.aborted) await wait(signal);
    },
  };
}
