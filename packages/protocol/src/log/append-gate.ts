/**
 * Back-pressure: whether a log takes another record, and who waits until it does. No I/O.
 */

import { CortexError } from "../errors.js";

/**
 * Why a log takes no record: too much is not written yet, its quota is used up, the disk is full, it failed or was
 * closed. The last two never end.
 */
export type AppendRefusal =
  | { readonly reason: "pending" | "quota"; readonly limitBytes: number }
  | { readonly reason: "paused" | "ended"; readonly error: CortexError };

/** The producers of one log. */
export interface AppendGate {
  /** Resolves once the log takes a record; rejects when it never will again, or with the signal's reason. */
  ready(options?: { readonly signal?: AbortSignal }): Promise<void>;
  /** Looks again whether those who wait may go on. */
  update(): void;
}

/** Makes the gate of a log whose state `refusal` tells. */
export function createAppendGate(refusal: () => AppendRefusal | undefined): AppendGate {
  const waiters = new Set<() => void>();
  const isOpen = (): boolean => {
    const found = refusal();
    if (found?.reason === "ended") throw found.error;
    return found === undefined;
  };
  const waitForUpdate = (signal: AbortSignal | undefined): Promise<void> =>
    new Promise((resolve) => {
      const wake = (): void => {
        waiters.delete(wake);
        signal?.removeEventListener("abort", wake);
        resolve();
      };
      waiters.add(wake);
      signal?.addEventListener("abort", wake);
    });
  return {
    async ready({ signal } = {}) {
      signal?.throwIfAborted();
      while (!isOpen()) {
        await waitForUpdate(signal);
        signal?.throwIfAborted();
      }
    },
    update() {
      if (waiters.size === 0) return;
      const found = refusal();
      if (found === undefined || found.reason === "ended") for (const wake of [...waiters]) wake();
    },
  };
}

/** The error an append gets that did not wait. */
export function toAppendError(refusal: AppendRefusal): CortexError {
  switch (refusal.reason) {
    case "pending":
    case "quota": {
      const { reason, limitBytes } = refusal;
      const problem = reason === "quota" ? "the log holds as much as it may" : "too much of the log is not written yet";
      return new CortexError("QUOTA_EXCEEDED", `${problem}: ${limitBytes} bytes`, { details: { limitBytes } });
    }
    case "paused":
    case "ended":
      return refusal.error;
  }
}
