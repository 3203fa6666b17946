/**
 * Notices a stream of logs whose end got lost: something is under way, and the hub says nothing about it.
 *
 * A hole in the middle shows by the next record; a last record, or the last answer, that is lost shows by nothing else.
 */
import type { Clock, Timer } from "@cortex-mesh/protocol";

/** Silence of the hub while records are under way after which a stream is given up, in milliseconds. */
export const ACK_SILENCE_MS = 30_000;

/** Watches one stream. */
export interface AckWatch {
  /** Something was sent. */
  sent(): void;
  /** The hub said something. */
  heard(): void;
  stop(): void;
}

/** What a watch works with. */
export interface AckWatchOptions {
  readonly clock: Clock;
  /** Whether the hub has to answer something. */
  readonly isWaiting: () => boolean;
  readonly onSilent: () => void;
}

/** Starts to watch. */
export function createAckWatch({ clock, isWaiting, onSilent }: AckWatchOptions): AckWatch {
  let timer: Timer | undefined;
  const stop = (): void => {
    timer?.cancel();
    timer = undefined;
  };
  const sent = (): void => {
    if (timer === undefined && isWaiting()) timer = clock.setTimer(onSilent, ACK_SILENCE_MS);
  };
  return {
    sent,
    heard() {
      stop();
      sent();
    },
    stop,
  };
}
