/**
 * Server-Sent Events from an event stream.
 *
 * Invariants:
 * - E1 nothing is read ahead of the client: a batch is taken only when the one before was handed over, so a slow client
 *   costs one batch of memory.
 * - E2 a client that leaves aborts what it followed, and ends it also where it stands between two batches and hears no abort.
 * - E3 a failure after the headers is told as an event `problem`, and then the stream ends.
 * - E4 the comment `end` is sent exactly when nothing will follow, also for a reader that comes back.
 */
import { type Clock, isCortexError, type Timer } from "@cortex-mesh/protocol";
import type { EventStream } from "../operations/operation.js";
import type { Problem } from "../operations/resources/problem.js";
import { PROBLEM_EVENT, SSE_KEEP_ALIVE_MS, STREAM_COMMENTS } from "../operations/wire.js";

/** What a client should wait before it connects again. */
const SSE_RETRY_MS = 1000;

/** One event as it is sent. */
export interface SentEvent {
  readonly id: string;
  readonly event: string;
  readonly data: unknown;
}

/** What sending needs. */
export interface SseOptions {
  readonly clock: Clock;
  /**
   * Aborted when the client leaves; what is followed must end with it (E2). With a CortexError as its reason that error is
   * told (E3).
   */
  readonly leave: AbortController;
  /** Makes the document of a failure (E3). */
  readonly toProblem: (error: unknown) => Problem;
}

/** One event in the wire format; `data` is JSON on one line. */
export function formatEvent({ id, event, data }: SentEvent): string {
  return `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** Makes the body of a response. */
export function createSseBody(stream: EventStream<SentEvent>, options: SseOptions): ReadableStream<Uint8Array> {
  const { clock, leave, toProblem } = options;
  const encoder = new TextEncoder();
  const arrivals = createArrivals(stream.batches[Symbol.asyncIterator](), clock);
  let isOpened = false;
  let isLeft = false;
  if (leave.signal.aborted) arrivals.release();
  else leave.signal.addEventListener("abort", () => arrivals.release(), { once: true });

  async function nextStep(): Promise<Step> {
    try {
      const arrival = leave.signal.aborted ? "silence" : await arrivals.next();
      if (isCortexError(leave.signal.reason)) throw leave.signal.reason;
      // What ends because the hub closes is no end (E4).
      if (leave.signal.aborted) return { text: "", isEnd: true };
      if (arrival === "silence") return { text: formatComment(STREAM_COMMENTS.keepAlive), isEnd: false };
      if (arrival.done === true) return { text: formatComment(STREAM_COMMENTS.end), isEnd: true };
      return { text: arrival.value.map(formatEvent).join(""), isEnd: false };
    } catch (error) {
      return { text: `event: ${PROBLEM_EVENT}\ndata: ${JSON.stringify(toProblem(error))}\n\n`, isEnd: true };
    }
  }

  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (!isOpened) {
          isOpened = true;
          controller.enqueue(encoder.encode(formatOpening(stream.startId)));
          return;
        }
        const { text, isEnd } = await nextStep();
        if (isLeft) return;
        if (text !== "") controller.enqueue(encoder.encode(text));
        if (!isEnd) return;
        controller.close();
        leave.abort();
      },
      cancel() {
        isLeft = true;
        leave.abort();
      },
    },
    // Nothing before the client asks for it (E1).
    { highWaterMark: 0 },
  );
}

interface Step {
  readonly text: string;
  readonly isEnd: boolean;
}

/** The start of a stream; an `id` alone tells the client where it stands before the first event. */
function formatOpening(startId: string | undefined): string {
  const retry = `retry: ${SSE_RETRY_MS}\n`;
  if (startId === undefined) return `${retry}\n`;
  // Browsers keep the id alone as where they stand; parsers that forget it without data have the comment.
  return `${retry}id: ${startId}\n${formatComment(`${STREAM_COMMENTS.start}${startId}`)}`;
}

/** A comment with the blank line that sends parsers on. */
function formatComment(text: string): string {
  return `: ${text}\n\n`;
}

type Arrival<T> = IteratorResult<readonly T[], unknown> | "silence";
type Outcome<T> = () => Arrival<T>;

interface Arrivals<T> {
  /** The next batch, or `silence` when none came for a while; that batch is still on its way then. */
  next(): Promise<Arrival<T>>;
  /** Ends a wait at once, and the source of the batches when the read under way is over. */
  release(): void;
}

/** Waits for batches, one read at a time, however often the wait is cut short by silence. */
function createArrivals<T>(iterator: AsyncIterator<readonly T[], unknown>, clock: Clock): Arrivals<T> {
  let isReading = false;
  let kept: Outcome<T> | undefined;
  let settle: ((outcome: Outcome<T>) => void) | undefined;

  function arrive(outcome: Outcome<T>): void {
    isReading = false;
    if (settle === undefined) kept = outcome;
    else settle(outcome);
  }

  function read(): void {
    isReading = true;
    iterator.next().then(
      (result) => arrive(() => result),
      (error: unknown) =>
        arrive(() => {
          throw error;
        }),
    );
  }

  async function end(): Promise<void> {
    await iterator.return?.();
  }

  return {
    async next() {
      if (kept === undefined && !isReading) read();
      const outcome = await new Promise<Outcome<T>>((resolve) => {
        let timer: Timer | undefined;
        settle = (value) => {
          settle = undefined;
          timer?.cancel();
          resolve(value);
        };
        const present = kept;
        kept = undefined;
        if (present !== undefined) settle(present);
        else timer = clock.setTimer(() => settle?.(() => "silence"), SSE_KEEP_ALIVE_MS);
      });
      return outcome();
    },
    release() {
      settle?.(() => "silence");
      // Nobody is left to hear of a source that cannot end.
      end().catch(() => undefined);
    },
  };
}
