/**
 * The outgoing half of a link: batches frames, writes them, and knows what has not been taken yet.
 *
 * (W1) Frames queued in one turn of the event loop leave as one message, sooner when `flushBytes` are queued. While
 *      the stream is busy, batches grow instead of multiplying. A turn ends when its microtasks have run, so an await
 *      between two frames does not part them; `setImmediate` would cost another round of the event loop, since HTTP/2
 *      writes in one of its own: 4 us a message.
 * (W2) At most `MAX_IN_FLIGHT_MESSAGES` are in the stream, counted by its write callbacks. Nothing ever waits for
 *      `drain`, which does not come after a lost connection.
 * (W3) After `stop` nothing is buffered, nothing is written and nobody waits.
 */
import { createOutbox } from "./outbox.js";
import type { LinkLimits } from "./transport-limits.js";

/** Writes one message and calls back when the transport took it; never calls back after a lost connection. */
export type WriteBatch = (frames: readonly Uint8Array[], onTaken: () => void) => void;

/** Sends frames of one link. */
export interface LinkWriter {
  /** Queues a frame. */
  push(frame: Uint8Array): void;
  /** Encoded bytes that the transport has not taken. */
  readonly bufferedBytes: number;
  /** Resolves when at most `flushBytes` are buffered, or when the writer stops. */
  drained(): Promise<void>;
  /** Sends what is queued and calls back once all of it is in the stream. */
  finish(onWritten: () => void): void;
  /** Drops what is queued (W3). */
  stop(): void;
}

/** Messages in the stream that HTTP/2 has not taken: enough that it never runs dry between callbacks. */
const MAX_IN_FLIGHT_MESSAGES = 4;

/** Makes the outgoing half of a link. */
export function createLinkWriter(limits: LinkLimits, writeBatch: WriteBatch): LinkWriter {
  const outbox = createOutbox(limits.flushBytes);
  const inFlight = { messages: 0, bytes: 0 };
  let isFlushScheduled = false;
  let isStopped = false;
  let onWritten: (() => void) | undefined;
  const waiters: (() => void)[] = [];
  const hasRoom = (): boolean => outbox.sizeBytes + inFlight.bytes <= limits.flushBytes;

  function write(onlyFull: boolean): void {
    while (!isStopped && inFlight.messages < MAX_IN_FLIGHT_MESSAGES) {
      const batch = outbox.shift(onlyFull);
      if (batch === undefined) break;
      inFlight.bytes += batch.sizeBytes;
      inFlight.messages += 1;
      writeBatch(batch.frames, () => taken(batch.sizeBytes));
    }
    if (isStopped || outbox.sizeBytes > 0) return;
    onWritten?.();
    onWritten = undefined;
  }

  function taken(sizeBytes: number): void {
    if (isStopped) return;
    inFlight.messages -= 1;
    inFlight.bytes -= sizeBytes;
    if (outbox.sizeBytes > 0) write(isFlushScheduled);
    if (waiters.length > 0 && hasRoom()) wakeWaiters();
  }

  function wakeWaiters(): void {
    for (const wake of waiters.splice(0)) wake();
  }

  return {
    push(frame) {
      outbox.push(frame);
      if (outbox.sizeBytes >= limits.flushBytes) write(true);
      if (isFlushScheduled) return;
      isFlushScheduled = true;
      atEndOfTurn(() => {
        isFlushScheduled = false;
        write(false);
      });
    },
    get bufferedBytes() {
      return outbox.sizeBytes + inFlight.bytes;
    },
    drained() {
      if (isStopped || hasRoom()) return Promise.resolve();
      return new Promise((resolve) => waiters.push(resolve));
    },
    finish(report) {
      onWritten = report;
      write(false);
    },
    stop() {
      isStopped = true;
      outbox.clear();
      inFlight.bytes = 0;
      wakeWaiters();
    },
  };
}

/** Runs after the microtasks of this turn, also when it is called from one of them. */
function atEndOfTurn(run: () => void): void {
  queueMicrotask(() => process.nextTick(run));
}
