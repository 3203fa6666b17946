/** What really happened on the nodes: each process that was started, what it wrote, how it ended. The oracle's own memory. */

/** How a process ended; `lost` with its machine. */
export type ProcessEnding =
  | { readonly kind: "exit"; readonly exitCode: number }
  | { readonly kind: "signal"; readonly signal: "SIGTERM" | "SIGKILL" }
  | { readonly kind: "lost" };

/** One start of a task's process. */
export interface Effect {
  readonly taskId: string;
  readonly attempt: number;
  readonly node: string;
  readonly startedAtMs: number;
  readonly written: { stdout: string; stderr: string };
  ending: ProcessEnding | undefined;
  endedAtMs: number | undefined;
}

/** Every start, in order. */
export interface Effects {
  started(effect: Effect): void;
  of(taskId: string): readonly Effect[];
  all(): readonly Effect[];
  /** Processes that run. */
  alive(): readonly Effect[];
}

/** Makes an empty record. */
export function createEffects(onStarted: (effect: Effect) => void): Effects {
  const byTask = new Map<string, Effect[]>();
  const all: Effect[] = [];
  return {
    started(effect) {
      all.push(effect);
      byTask.set(effect.taskId, [...(byTask.get(effect.taskId) ?? []), effect]);
      onStarted(effect);
    },
    of: (taskId) => byTask.get(taskId) ?? [],
    all: () => all,
    alive: () => all.filter(({ ending }) => ending === undefined),
  };
}
