/** Waits for a condition, one turn of the event loop after the other; never by time. */
const GIVE_UP_MS = 8_000;

/** Resolves with the first value of `probe` that is neither undefined nor false. */
export async function waitUntil<T>(probe: () => T | undefined | false, what: string): Promise<T> {
  const startedAtMs = performance.now();
  for (;;) {
    const value = probe();
    if (value !== undefined && value !== false) return value;
    if (performance.now() - startedAtMs > GIVE_UP_MS) throw new Error(`did not happen: ${what}`);
    await new Promise<void>((resolve) => void setImmediate(resolve));
  }
}

/** Gives everything that is ready its turns. */
export async function settle(turns = 30): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) await new Promise<void>((resolve) => void setImmediate(resolve));
}
