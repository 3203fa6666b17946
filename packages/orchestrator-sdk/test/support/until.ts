/** Waits for what a test expects, without sleeping. */

/** Turns of the event loop that a step takes at most when nothing touches a disk. */
const TURNS = 12;
/** A condition that does not come true by then never will. */
const PATIENCE_MS = 5_000;

/** Lets everything that is ready run. */
export async function turns(count = TURNS): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise<void>((resolve) => void setImmediate(resolve));
}

/** Resolves with the first value that is not false or undefined. */
export async function until<T>(
  look: () => T | Promise<T>,
  what = "the expected state",
): Promise<NonNullable<Exclude<T, false>>> {
  const startMs = performance.now();
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false && found !== null) return found as NonNullable<Exclude<T, false>>;
    if (performance.now() - startMs > PATIENCE_MS) throw new Error(`${what} did not come: ${String(look)}`);
    await turns(1);
  }
}

/** Gives a number once it has not changed for a while: that nothing happens any more has no event. */
export async function untilStill(read: () => number): Promise<number> {
  let last = -1;
  while (read() !== last) {
    last = read();
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  return last;
}
