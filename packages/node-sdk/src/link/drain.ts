/**
 * The orderly end of a node: takes nothing new, lets tasks finish for a while, ends the rest, and delivers.
 *
 * What cannot be delivered in time is on disk and goes out when the node starts again.
 */
import type { Clock } from "@cortex-mesh/protocol";
import { STOP_GRACE_MS } from "../runner/attempt.js";
import type { Runner } from "../runner/runner.js";
import type { TaskDesk } from "./task-desk.js";
import { pause } from "./within.js";

/** How long running tasks may go on by default, in milliseconds. */
export const DEFAULT_DRAIN_GRACE_MS = 10_000;
/** Time for results and output to be acknowledged, in milliseconds. */
const DELIVERY_MS = 10_000;
/** Time for killed tasks to be gone, in milliseconds. */
const KILL_WAIT_MS = STOP_GRACE_MS + 5_000;
const LOOK_MS = 20;

/** What {@link drainTasks} needs. */
export interface DrainOptions {
  readonly runner: Runner;
  readonly desk: TaskDesk;
  readonly clock: Clock;
  readonly graceMs: number;
  /** Ends every wait. */
  readonly signal: AbortSignal;
  readonly isOnline: () => boolean;
}

/** Drains. Resolves when nothing runs and all is delivered that can be. */
export async function drainTasks(options: DrainOptions): Promise<void> {
  const { runner, desk, clock, graceMs, signal } = options;
  await desk.drain(graceMs);
  await idleWithin(runner, clock, { waitMs: graceMs, signal });
  runner.stopAll();
  await idleWithin(runner, clock, { waitMs: KILL_WAIT_MS, signal });
  const untilMs = clock.monotonicMs() + DELIVERY_MS;
  while (!signal.aborted && options.isOnline() && clock.monotonicMs() < untilMs) {
    if (await desk.isDelivered()) return;
    await pause(clock, LOOK_MS, signal);
  }
}

/** Waits until nothing runs, at most for a while. */
export async function idleWithin(
  runner: Runner,
  clock: Clock,
  limit: { readonly waitMs: number; readonly signal: AbortSignal },
): Promise<void> {
  const done = new AbortController();
  const idle = runner.idle().then(() => done.abort());
  await Promise.race([idle, pause(clock, limit.waitMs, AbortSignal.any([done.signal, limit.signal]))]);
}
