/** Waits for a condition that nothing announces. */
import { setTimeout as pause } from "node:timers/promises";

const LOOK_MS = 20;
const DEFAULT_LIMIT_MS = 60_000;

/** Looks again and again; gives the milliseconds that it took. Rejects when it takes longer than `limitMs`. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  limitMs = DEFAULT_LIMIT_MS,
): Promise<number> {
  const startedAtMs = performance.now();
  for (;;) {
    const isThere = await holds();
    const takenMs = performance.now() - startedAtMs;
    if (isThere) return takenMs;
    if (takenMs > limitMs) throw new Error(`not within ${limitMs} ms: ${what}`);
    await pause(LOOK_MS);
  }
}
