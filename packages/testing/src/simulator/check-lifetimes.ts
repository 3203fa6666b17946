/**
 * Whether processes ran only while they were wanted: none starts after its task was reported ended, none outlives its time
 * limit or a cancel that was acknowledged by more than the grace and the time for which word could not reach its node. Pure.
 */
import type { Effect } from "./effects.js";
import type { Reach } from "./reach.js";

/** What users were told of a task, in virtual milliseconds. */
export interface Told {
  readonly timeoutMs: number | undefined;
  /** The first time at which an end was seen; undefined too when the task was indeterminate once: its node may run it late. */
  readonly endSeenAtMs: number | undefined;
  readonly cancelledAtMs: number | undefined;
}

/** Grace of a stop. */
const GRACE_MS = 5_000;
/** What word, spawning and signals take at most when nothing is in the way. */
const SLACK_MS = 1_500;

/** Says what is wrong with one process; empty when nothing is. `nowMs` is when a process that still runs is looked at. */
export function checkLifetime(effect: Effect, told: Told, { reach, nowMs }: { reach: Reach; nowMs: number }): string[] {
  const { node, attempt, startedAtMs, endedAtMs = nowMs } = effect;
  const { timeoutMs, endSeenAtMs, cancelledAtMs } = told;
  const faults: string[] = [];
  if (endSeenAtMs !== undefined && startedAtMs > endSeenAtMs) {
    faults.push(
      `started attempt ${attempt} on ${node} ${Math.round(startedAtMs - endSeenAtMs)} ms after its end was told`,
    );
  }
  const livedMs = endedAtMs - startedAtMs;
  if (timeoutMs !== undefined) {
    const borneMs = timeoutMs + GRACE_MS + SLACK_MS + reach.downMs(node, startedAtMs, endedAtMs);
    if (livedMs > borneMs) {
      faults.push(`ran attempt ${attempt} for ${Math.round(livedMs)} ms with a time limit of ${timeoutMs} ms`);
    }
  }
  if (cancelledAtMs !== undefined) {
    const heardAtMs = Math.max(cancelledAtMs, startedAtMs);
    const borneMs = GRACE_MS + SLACK_MS + reach.cutOffMs(node, heardAtMs, endedAtMs);
    if (endedAtMs - heardAtMs > borneMs) {
      faults.push(
        `ran attempt ${attempt} on ${node} for ${Math.round(endedAtMs - heardAtMs)} ms after its cancel was acknowledged`,
      );
    }
  }
  return faults;
}

/** Whether a cancel was acknowledged while the process ran and nothing kept it from its node for the whole grace. */
export function isCancelInReach(
  { node, startedAtMs, endedAtMs }: Effect,
  { cancelledAtMs }: Told,
  reach: Reach,
): boolean {
  if (cancelledAtMs === undefined || cancelledAtMs < startedAtMs || cancelledAtMs >= (endedAtMs ?? 0)) return false;
  return reach.cutOffMs(node, cancelledAtMs, cancelledAtMs + GRACE_MS + SLACK_MS) === 0;
}
