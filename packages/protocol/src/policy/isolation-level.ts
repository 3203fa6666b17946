/** The names of isolation, from nothing to a machine of its own; a higher one encloses a task at least as well. */

/** All levels, lowest first. */
export const ISOLATION_LEVELS = ["none", "process", "workspace", "container", "vm"] as const;

/** One of {@link ISOLATION_LEVELS}. */
export type IsolationLevel = (typeof ISOLATION_LEVELS)[number];

/** Whether a text from outside names a level. */
export function isIsolationLevel(value: string): value is IsolationLevel {
  return (ISOLATION_LEVELS as readonly string[]).includes(value);
}

/** Whether `level` isolates at least as well as `minimum`. */
export function isAtLeastLevel(level: IsolationLevel, minimum: IsolationLevel): boolean {
  return ISOLATION_LEVELS.indexOf(level) >= ISOLATION_LEVELS.indexOf(minimum);
}

/** The better isolated of two levels. */
export function higherLevel(left: IsolationLevel, right: IsolationLevel): IsolationLevel {
  return isAtLeastLevel(left, right) ? left : right;
}
