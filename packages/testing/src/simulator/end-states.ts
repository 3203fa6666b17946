/** The states in which a task has ended. */

const FINAL_STATES: ReadonlySet<string> = new Set([
  "succeeded",
  "failed",
  "cancelled",
  "timed_out",
  "rejected",
  "indeterminate",
]);

/** Whether a task in this state has ended. */
export function isEnded(state: string): boolean {
  return FINAL_STATES.has(state);
}
