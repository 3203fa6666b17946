/** Promises that are settled from outside. */
import type { CortexError } from "@cortex-mesh/protocol";

/** A promise and what settles it. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: CortexError) => void;
}

/** A promise that is settled from outside; a rejection that nobody looks at yet is no fault. */
export function defer<T>(): Deferred<T> {
  let settle: Pick<Deferred<T>, "resolve" | "reject"> = { resolve: () => {}, reject: () => {} };
  const promise = new Promise<T>((resolve, reject) => {
    settle = { resolve, reject };
  });
  // Whoever waits for it hears it; until somebody does, a rejection is not unhandled.
  promise.catch(() => {});
  return { promise, ...settle };
}
