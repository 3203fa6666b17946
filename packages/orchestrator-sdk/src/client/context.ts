/** What every call of a client works with. */
import type { Clock } from "@cortex-mesh/protocol/portable";
import type { Transport } from "./transport.js";

/** The parts of a client. */
export interface ClientContext {
  readonly transport: Transport;
  readonly clock: Clock;
  /** For jitter: at least 0, below 1. */
  readonly random: () => number;
  /** How long calls are repeated. */
  readonly callRetryMs: number;
  /** How long a cut stream tries to come back. */
  readonly streamRetryMs: number;
}

/** One call as the caller made it. */
export interface Call {
  readonly input: unknown;
  readonly signal: AbortSignal | undefined;
}
