/** What a run of the simulator says: its figures, what was broken, and the command that shows it again. */
import type { Break } from "./breaks.js";
import { FIGURE_GROUPS, type Figures } from "./figures.js";
import type { History } from "./history.js";

const HOUR_MS = 3_600_000;

/** The command that repeats a history. */
export function commandOf(seed: number, broken: Break | undefined): string {
  return `npm run sim -- --seed ${seed}${broken === undefined ? "" : ` --break ${broken}`}`;
}

/** What was broken in a history, a line each, and how to see it again. */
export function describeViolations({ seed, violations }: History, broken: Break | undefined): readonly string[] {
  const lines = violations.map(({ taskId, what }) => `seed ${seed}: ${taskId ?? "the mesh"} ${what}`);
  return lines.length === 0 ? [] : [...lines, `  again: ${commandOf(seed, broken)} --trace`];
}

/** The figures of a run, a line each. */
export function describeFigures(figures: Figures): readonly string[] {
  const { histories, tasks, attempts, virtualMs, counts } = figures;
  const indeterminate = counts.get("ended indeterminate") ?? 0;
  return [
    `${histories} histories, ${tasks} tasks, ${attempts} processes started, ${indeterminate} tasks indeterminate`,
    `${(virtualMs / HOUR_MS).toFixed(1)} virtual hours`,
    ...Object.entries(FIGURE_GROUPS).map(
      ([group, names]) => `${group}: ${names.map((name) => `${name} ${counts.get(name) ?? 0}`).join(", ")}`,
    ),
  ];
}

/** The figures as they are kept. */
export function toProof(figures: Figures, seconds: number): Record<string, unknown> {
  const { histories, tasks, attempts, virtualMs, counts } = figures;
  const groups = Object.entries(FIGURE_GROUPS).map(([group, names]) => [
    group,
    Object.fromEntries(names.map((name) => [name, counts.get(name) ?? 0])),
  ]);
  return {
    histories,
    tasks,
    processesStarted: attempts,
    virtualHours: Number((virtualMs / HOUR_MS).toFixed(2)),
    seconds: Number(seconds.toFixed(1)),
    historiesPerSecond: Number((histories / seconds).toFixed(1)),
    ...Object.fromEntries(groups),
  };
}
