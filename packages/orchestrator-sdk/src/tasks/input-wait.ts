/** The ways in which a writer of input waits: for a change, for a promise that an abort cuts short. */
import type { Wake, WakeTopic } from "../wake/wake.js";

/** A wait for the next change. */
export interface NextChange {
  readonly promise: Promise<void>;
  readonly happen: () => void;
  stop(): void;
}

/** The next wake-up under one of the topics, or the abort of the caller. Listen first, then look. */
export function nextChange(options: {
  readonly wake: Wake;
  readonly topics: readonly WakeTopic[];
  readonly signal: AbortSignal | undefined;
}): NextChange {
  const { wake, topics, signal } = options;
  let happen = (): void => undefined;
  const promise = new Promise<void>((resolve) => {
    happen = resolve;
  });
  const unlisten = topics.map((topic) => wake.listen(topic, happen));
  signal?.addEventListener("abort", happen);
  return {
    promise,
    happen,
    stop() {
      for (const end of unlisten) end();
      signal?.removeEventListener("abort", happen);
    },
  };
}

/** The promise's outcome, or the reason of the first of the signals that aborts. Leaves no listener behind. */
export function untilAborted<T>(work: Promise<T>, signals: readonly (AbortSignal | undefined)[]): Promise<T> {
  return new Promise((resolve, reject) => {
    const stops: (() => void)[] = [];
    const stop = (): void => {
      for (const end of stops) end();
    };
    for (const signal of signals) {
      if (signal === undefined) continue;
      const abort = (): void => {
        stop();
        reject(signal.reason);
      };
      if (signal.aborted) abort();
      signal.addEventListener("abort", abort);
      stops.push(() => signal.removeEventListener("abort", abort));
    }
    work.then(
      (value) => {
        stop();
        resolve(value);
      },
      (error: unknown) => {
        stop();
        reject(error);
      },
    );
  });
}
