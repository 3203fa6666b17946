/**
 * Notices a stream of logs whose end got lost: something of a log is under way, and the hub says nothing about it.
 *
 * A hole in the middle shows by the next record; a last record, or the last answer, that is lost shows by nothing else.
 * Each log is watched for itself: what the hub says about a noisy one tells nothing of a quiet one.
 */
import type { Clock, Timer } from "@cortex-mesh/protocol";

/** Silence of the hub about a log of which records are under way after which a stream is given up, in milliseconds. */
export const ACK_SILENCE_MS = 30_000;

/** Watches the logs of one stream. */
export interface AckWatch<L> {
  /** Something of a log was sent that the hub has to answer. */
  sent(log: L): void;
  /** The hub said something about a log, or need not any more; `isAwaited` when it has to say more. */
  heard(log: L, isAwaited: boolean): void;
  stop(): void;
}

/** What a watch works with. */
export interface AckWatchOptions {
  readonly clock: Clock;
  readonly onSilent: () => void;
}

/** Starts to watch. */
export function createAckWatch<L>({ clock, onSilent }: AckWatchOptions): AckWatch<L> {
  /** Since when each log is unanswered, oldest first. */
  const since = new Map<L, number>();
  let timer: Timer | undefined;

  /** One timer for all: when it fires it looks how long the oldest still has. */
  function watchOldest(): void {
    timer = undefined;
    const [oldestMs] = since.values();
    if (oldestMs === undefined) return;
    const leftMs = oldestMs + ACK_SILENCE_MS - clock.monotonicMs();
    if (leftMs > 0) timer = clock.setTimer(watchOldest, leftMs);
    else onSilent();
  }
  function sent(log: L): void {
    if (!since.has(log)) since.set(log, clock.monotonicMs());
    if (timer === undefined) watchOldest();
  }
  return {
    sent,
    heard(log, isAwaited) {
      since.delete(log);
      if (isAwaited) sent(log);
    },
    stop() {
      timer?.cancel();
      since.clear();
    },
  };
}
