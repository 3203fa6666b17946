/**
 * When to stop: SIGTERM, SIGINT or SIGHUP, or the end of the channel to a parent that is a Node process.
 *
 * The first signal asks for an orderly end. The second ends the program at once, with what it runs; a third does not even
 * wait for that.
 */
import { constants } from "node:os";

const SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

/** What the signals of a program lead to. */
export interface StopSignals {
  /** Aborts at the first reason to stop. */
  readonly stop: AbortSignal;
  /** Says what the second signal does before the program ends. */
  onSecond(act: () => Promise<void>): void;
}

/** Watches the signals from now on. To call once, early. */
export function watchStopSignals(): StopSignals {
  const stop = new AbortController();
  let act: (() => Promise<void>) | undefined;
  for (const name of SIGNALS) {
    const exit = (): void => process.exit(128 + constants.signals[name]);
    process.on(name, () => {
      if (!stop.signal.aborted) return stop.abort(name);
      const last = act;
      act = undefined;
      if (last === undefined) exit();
      else last().then(exit, exit);
    });
  }
  if (process.channel !== undefined) {
    process.once("disconnect", () => stop.abort("disconnect"));
    // Listening keeps the process alive; what it does is up to the rest of the program.
    process.channel.unref();
  }
  return {
    stop: stop.signal,
    onSecond(next) {
      act = next;
    },
  };
}
