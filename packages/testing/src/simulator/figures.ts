/** What a run met: how often each fault, crash point and class of tasks came; one that never came proves nothing. */

/** Faults of the network and the machines. */
export const FAULT_KINDS = [
  "drop",
  "duplicate",
  "reorder",
  "delay",
  "replay",
  "lost answer",
  "cut both",
  "cut one end",
  "stall",
  "partition",
  "partition of all",
  "node killed",
  "node without power",
  "hub killed",
  "hub without power",
  "clock jump",
  "drain",
] as const;

/** Places where a process dies. */
export const CRASH_POINTS = [
  "hub store:committing",
  "hub store:committed",
  "hub output:appending",
  "hub output:appended",
  "node state:committing",
  "node state:committed",
  "node spool:writing",
  "node spool:written",
  "node spool:syncing",
  "node spool:synced",
  "node spool:removing",
  "node spool:removed",
] as const;

/** Classes of tasks, and what became of them. */
export const CASE_CLASSES = [
  "once",
  "idempotent",
  "pinned",
  "with a key",
  "posted again",
  "cancelled",
  "with a time limit",
  "with a queue limit",
  "spawn fault",
  "noisy",
  "stubborn",
  "given again",
  "resolved",
  "followed",
  "follower resumed",
  "ended succeeded",
  "ended failed",
  "ended cancelled",
  "ended timed_out",
  "ended rejected",
  "ended indeterminate",
] as const;

/** What rules had to stand: the three that can be broken, and a cancel. */
export const RULE_TESTS = [
  "grant of a known attempt",
  "hub died after an acceptance",
  "report of an older attempt",
  "cancel of a running process in reach",
] as const;

/** What a counter is of. */
export type FigureName =
  | (typeof FAULT_KINDS)[number]
  | (typeof CRASH_POINTS)[number]
  | (typeof CASE_CLASSES)[number]
  | (typeof RULE_TESTS)[number];

/** Every counter by its group, in print order. */
export const FIGURE_GROUPS = {
  faults: FAULT_KINDS,
  "crash points": CRASH_POINTS,
  "case classes": CASE_CLASSES,
  "rules put to the test": RULE_TESTS,
} as const;

/** Counters of a run or a history. */
export interface Figures {
  histories: number;
  tasks: number;
  attempts: number;
  virtualMs: number;
  readonly counts: Map<FigureName, number>;
  count(name: FigureName): void;
  add(other: Figures): void;
  /** Counters that stand at 0. */
  missing(): readonly FigureName[];
}

/** Makes counters at 0. */
export function createFigures(): Figures {
  const counts = new Map<FigureName, number>();
  for (const group of Object.values(FIGURE_GROUPS)) for (const name of group) counts.set(name, 0);
  const figures: Figures = {
    histories: 0,
    tasks: 0,
    attempts: 0,
    virtualMs: 0,
    counts,
    count: (name) => void counts.set(name, (counts.get(name) ?? 0) + 1),
    add(other) {
      figures.histories += other.histories;
      figures.tasks += other.tasks;
      figures.attempts += other.attempts;
      figures.virtualMs += other.virtualMs;
      for (const [name, count] of other.counts) counts.set(name, (counts.get(name) ?? 0) + count);
    },
    missing: () => [...counts].filter(([, count]) => count === 0).map(([name]) => name),
  };
  return figures;
}

/** Tasks that are rejected never run. A tenth of them have a queue limit, and nodes are away a lot. */
const MAX_REJECTED_RATIO = 0.15;

/** Says why a run proves little: what was never met was not put to the test, and neither was what never ran. */
export function checkFigures(figures: Figures): readonly string[] {
  const missing = figures.missing();
  const rejectedRatio = (figures.counts.get("ended rejected") ?? 0) / Math.max(1, figures.tasks);
  const percent = (ratio: number): string => `${(100 * ratio).toFixed(1)} %`;
  return [
    ...(missing.length === 0 ? [] : [`never met: ${missing.join(", ")}`]),
    ...(rejectedRatio <= MAX_REJECTED_RATIO
      ? []
      : [`rejected: ${percent(rejectedRatio)} of the tasks, at most ${percent(MAX_REJECTED_RATIO)} may be`]),
  ];
}
