/**
 * What the node says on one connection, in order and no faster than the hub takes it.
 *
 * (Q1) Nothing leaves before the queue is opened. (Q2) While the link is full what is said waits here, as statements and not
 * as bytes; a link that is given more than it holds would end the connection. (Q3) Both bounds end the connection, since a
 * statement that is left out is one that the hub never hears on it.
 */
import { CortexError, type Link, toCortexError } from "@cortex-mesh/protocol";
import type { NodeReport } from "../runner/report.js";

/** Statements that may wait; with more, something is wrong with the hub. */
export const MAX_WAITING_REPORTS = 100_000;
/** Bytes that the link may hold before the next statement waits: far below where a link gives its peer up. */
export const MAX_UNSENT_BYTES: number = 1024 * 1024;

/** What {@link createReportQueue} needs. */
export interface ReportQueueOptions {
  readonly link: Pick<Link, "bufferedBytes" | "drained">;
  /** Sends one statement now. */
  readonly send: (report: NodeReport) => void;
  /** The connection cannot go on. */
  readonly onFailed: (error: CortexError) => void;
}

/** The statements of one connection. */
export interface ReportQueue {
  push(report: NodeReport): void;
  /** Begins to send (Q1). */
  open(): void;
  /** Resolves when all that was said is with the link and it wants more, or when the queue is closed. */
  room(): Promise<void>;
  /** Hands what waits to the link at once, as last words. */
  flush(): void;
  /** Drops what waits. */
  close(): void;
}

/** Makes an empty queue. */
export function createReportQueue({ link, send, onFailed }: ReportQueueOptions): ReportQueue {
  const waiting = new Set<NodeReport>();
  let isOpen = false;
  let isSending = false;
  let sending = Promise.resolve();

  const isFull = (): boolean => link.bufferedBytes > MAX_UNSENT_BYTES;
  const run = async (): Promise<void> => {
    try {
      for (const report of waiting) {
        waiting.delete(report);
        send(report);
        if (isFull()) await link.drained();
      }
    } catch (error) {
      waiting.clear();
      onFailed(toCortexError(error));
    } finally {
      // In the same turn as the last look at the queue, so that nothing waits for the next statement.
      isSending = false;
    }
  };
  const wake = (): void => {
    if (!isOpen || isSending || waiting.size === 0) return;
    isSending = true;
    sending = run();
  };
  return {
    push(report) {
      if (waiting.size >= MAX_WAITING_REPORTS) {
        return onFailed(new CortexError("UNAVAILABLE", "the hub does not take what the node has to say"));
      }
      waiting.add(report);
      wake();
    },
    open() {
      isOpen = true;
      wake();
    },
    async room() {
      while (isSending) await sending;
      if (isFull()) await link.drained();
    },
    flush() {
      if (isOpen) for (const report of waiting) send(report);
      waiting.clear();
    },
    close() {
      isOpen = false;
      waiting.clear();
    },
  };
}
