/**
 * When to stop: SIGTERM, SIGINT or SIGHUP, or the end of the channel to a parent that is a Node process.
 *
 * The second signal ends the program at once; what its tasks left is ended by the next start.
 */
import { constants } from "node:os";

const SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

/** Gives a signal that aborts at the first reason to stop. To call once, early. */
export function watchStopSignals(): AbortSignal {
  const stop = new AbortController();
  for (const name of SIGNALS) {
    process.on(name, () => {
      if (stop.signal.aborted) process.exit(128 + constants.signals[name]);
      stop.abort(name);
    });
  }
  if (process.channel !== undefined) {
    process.once("disconnect", () => stop.abort("disconnect"));
    // Listening keeps the process alive; what it does is up to the rest of the program.
    process.channel.unref();
  }
  return stop.signal;
}
