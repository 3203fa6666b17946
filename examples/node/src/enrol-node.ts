/** Enrolling with patience: a hub that cannot be reached yet is tried again, one that refuses is not. */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import type { CortexNode } from "@cortex-mesh/node-sdk";
import { isCortexError } from "@cortex-mesh/protocol";

const FIRST_WAIT_MS = 500;
const MAX_WAIT_MS = 30_000;

/** How to enrol. */
export interface EnrolNodeOptions {
  readonly invite: string;
  /** Tries after the first one. @default for ever */
  readonly maxRetries: number | undefined;
  readonly logger: Logger;
  /** Ends the waiting. */
  readonly signal: AbortSignal;
}

/**
 * Enrols the node; false when the signal came first.
 *
 * @throws {@link CortexError} what the hub refuses; `UNAVAILABLE` when the tries are used up.
 */
export async function enrolNode(node: Pick<CortexNode, "enrol">, options: EnrolNodeOptions): Promise<boolean> {
  const { invite, maxRetries = Number.POSITIVE_INFINITY, logger, signal } = options;
  for (let tries = 0; !signal.aborted; tries += 1) {
    try {
      await node.enrol(invite);
      return true;
    } catch (error) {
      if (!isCortexError(error) || !error.retryable || tries >= maxRetries) throw error;
      const windowMs = Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** tries);
      const waitMs = Math.round(windowMs * (0.5 + Math.random() / 2));
      logger.warn({ code: error.code, reason: error.message, waitMs }, "the hub cannot be reached; trying again");
      // The signal ends the wait; the loop sees it.
      await delay(waitMs, undefined, { signal }).catch(() => undefined);
    }
  }
  return false;
}
