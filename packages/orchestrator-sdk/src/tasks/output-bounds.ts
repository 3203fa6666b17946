/** What bounds the taking of output: the memory it may use, and those who wait for a log to be complete. */

/** Output received and not yet committed, over all tasks: what a slow disk may cost in memory. */
export const MAX_UNCOMMITTED_BYTES = 16 * 1024 * 1024;

/** Memory for output that waits. */
export interface Room {
  readonly usedBytes: number;
  take(bytes: number): void;
  free(bytes: number): void;
  /** Resolves when there is room for more. */
  wait(): Promise<void>;
}

/** Makes the account with nothing in use. */
export function createRoom(): Room {
  let usedBytes = 0;
  const waiting: (() => void)[] = [];
  return {
    get usedBytes() {
      return usedBytes;
    },
    take(bytes) {
      usedBytes += bytes;
    },
    free(bytes) {
      usedBytes -= bytes;
      if (usedBytes < MAX_UNCOMMITTED_BYTES) for (const resolve of waiting.splice(0)) resolve();
    },
    async wait() {
      while (usedBytes >= MAX_UNCOMMITTED_BYTES) await new Promise<void>((resolve) => waiting.push(resolve));
    },
  };
}

/** Who waits for a log to be complete. They outlive a sink that failed: the log comes again. */
export interface Waiters {
  /** Resolves with true once the log is committed through `seq`, with false when it is not taken any more. */
  wait(key: string, seq: number): Promise<boolean>;
  settle(key: string, throughSeq: number): void;
  /** The log is not taken any more. */
  end(key: string): void;
  endAll(): void;
}

/** Makes the list with nobody waiting. */
export function createWaiters(): Waiters {
  const waiting = new Map<string, { readonly seq: number; readonly resolve: (isCommitted: boolean) => void }[]>();
  const settle = (key: string, throughSeq: number, isCommitted: boolean): void => {
    const all = waiting.get(key);
    if (all === undefined) return;
    const rest = all.filter(({ seq }) => seq > throughSeq);
    if (rest.length === 0) waiting.delete(key);
    else waiting.set(key, rest);
    for (const { seq, resolve } of all) if (seq <= throughSeq) resolve(isCommitted);
  };
  return {
    wait: (key, seq) =>
      new Promise((resolve) => {
        waiting.set(key, [...(waiting.get(key) ?? []), { seq, resolve }]);
      }),
    settle: (key, throughSeq) => settle(key, throughSeq, true),
    end: (key) => settle(key, Number.POSITIVE_INFINITY, false),
    endAll() {
      for (const key of [...waiting.keys()]) settle(key, Number.POSITIVE_INFINITY, false);
    },
  };
}
