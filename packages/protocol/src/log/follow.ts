/**
 * Follows a log from a cursor: first what is there, then what comes, in batches.
 *
 * Knows nothing of how a log is kept: it reads after a cursor and is woken. It subscribes before it reads, and a wake
 * during a read makes it read again, so nothing that is appended in between waits for the next wake. Wakes carry no
 * data: they may come too often, or for somebody else.
 */

/** A log to follow. `T` is an item, `C` its cursor. */
export interface FollowOptions<T, C> {
  /** Reads the items after a cursor in order; empty when there is none yet. */
  readonly readAfter: (cursor: C, signal: AbortSignal) => Promise<readonly T[]>;
  /** The cursor that stands after an item. */
  readonly cursorOf: (item: T) => C;
  /** Calls `wake` whenever there may be more; gives the way to end that. */
  readonly subscribe: (wake: () => void) => () => void;
  /** Cursor to start after. */
  readonly after: C;
  /** Ends following, also a wait that is going on; no error is thrown for it. */
  readonly signal: AbortSignal;
  /** Whether a read gave all there was, so that the next one waits for a wake. @default never: the end shows as an empty read */
  readonly isAll?: (items: readonly T[]) => boolean;
  /** Whether an item is the log's end: it is given, and then following ends. */
  readonly isLast?: (item: T) => boolean;
}

/**
 * Gives the items of a log in batches that are never empty, each item once, until its last one or the signal's abort.
 *
 * Rejects with what `readAfter` rejects with. The subscription ends however following ends.
 */
export async function* followLog<T, C>(options: FollowOptions<T, C>): AsyncGenerator<readonly T[], void, undefined> {
  const { signal } = options;
  if (signal.aborted) return;
  let cursor = options.after;
  const wakes = createWakes();
  const unsubscribe = options.subscribe(wakes.wake);
  signal.addEventListener("abort", wakes.wake);
  try {
    while (!signal.aborted) {
      wakes.clear();
      const items = await readUnlessAborted(options, cursor);
      const last = items.at(-1);
      if (last === undefined) {
        await wakes.wait();
        continue;
      }
      cursor = options.cursorOf(last);
      const endIndex = options.isLast === undefined ? -1 : items.findIndex(options.isLast);
      yield endIndex < 0 ? items : items.slice(0, endIndex + 1);
      if (endIndex >= 0) return;
      if (options.isAll?.(items) === true) await wakes.wait();
    }
  } finally {
    signal.removeEventListener("abort", wakes.wake);
    unsubscribe();
  }
}

/** A read that fails because following was ended is the end, not an error. */
async function readUnlessAborted<T, C>(options: FollowOptions<T, C>, cursor: C): Promise<readonly T[]> {
  try {
    const items = await options.readAfter(cursor, options.signal);
    return options.signal.aborted ? [] : items;
  } catch (error) {
    if (options.signal.aborted) return [];
    throw error;
  }
}

interface Wakes {
  readonly wake: () => void;
  /** Forgets the wakes so far. */
  clear(): void;
  /** Resolves at the first wake since `clear`. */
  wait(): Promise<void>;
}

function createWakes(): Wakes {
  let isWoken = false;
  let resume: (() => void) | undefined;
  return {
    wake() {
      isWoken = true;
      resume?.();
      resume = undefined;
    },
    clear() {
      isWoken = false;
    },
    async wait() {
      if (isWoken) return;
      await new Promise<void>((resolve) => {
        resume = resolve;
      });
    },
  };
}
