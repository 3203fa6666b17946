/** Figures of tasks: how many stand where, how they end, how long they wait and run, what they print. */
import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { TaskRecord, TaskState } from "../store/records.js";
import type { HubMetrics } from "./hub-metrics.js";
import { toSeconds } from "./seconds.js";

/** States that a task leaves again by itself or by its owner's word. */
const OPEN_STATES = ["queued", "leased", "running", "indeterminate"] as const satisfies readonly TaskState[];

const FREEZE_REASONS = ["vanished", "restarted"] as const;

const QUEUE_BUCKETS_SECONDS = [0.005, 0.025, 0.1, 0.5, 2, 10, 60, 300, 1800, 7200];
const RUN_BUCKETS_SECONDS = [0.01, 0.05, 0.25, 1, 5, 30, 120, 600, 3600, 14_400];

/** Makes the figures of tasks in `registry`. */
export function createTaskMetrics(
  registry: Registry,
): Pick<
  HubMetrics,
  | "taskFound"
  | "taskChanged"
  | "taskForgotten"
  | "dispatchRepeated"
  | "reportRefused"
  | "attemptsFrozen"
  | "outputWritten"
> {
  const registers = [registry];
  const settlements = createSettlements(registry);
  const open = createOpenTasks(registry);
  const dispatches = new Counter({
    name: "cortex_task_dispatches_total",
    help: "Tasks that were accepted.",
    registers,
  });
  const repeats = new Counter({
    name: "cortex_task_dispatch_repeats_total",
    help: "Dispatches that were answered with the earlier task of their idempotency key.",
    registers,
  });
  const refused = new Counter({
    name: "cortex_task_reports_refused_total",
    help: "Reports of nodes about attempts that were late, or not theirs.",
    registers,
  });
  const output = new Counter({
    name: "cortex_task_output_bytes_total",
    help: "Bytes of task output that became durable; what a failed commit makes a node repeat counts again.",
    labelNames: ["stream"],
    registers,
  });
  for (const stream of ["stdout", "stderr"]) output.inc({ stream }, 0);
  return {
    taskFound: ({ taskId, state }) => open.put(taskId, state),
    taskChanged(before, after) {
      if (before === undefined) dispatches.inc();
      if (before?.state === after.state) return;
      open.put(after.taskId, after.state);
      settlements.note(before, after);
    },
    taskForgotten: ({ taskId }) => open.put(taskId, undefined),
    dispatchRepeated: () => repeats.inc(),
    attemptsFrozen: createFreeze(registry),
    reportRefused: () => refused.inc(),
    outputWritten: (stream, sizeBytes) => output.inc({ stream }, sizeBytes),
  };
}

/** Tells whether attempts are kept from being lost, and why. */
function createFreeze(registry: Registry): HubMetrics["attemptsFrozen"] {
  const frozen = new Gauge({
    name: "cortex_attempts_frozen",
    help: "1 while no attempt is declared lost, by the reason.",
    labelNames: ["reason"],
    registers: [registry],
  });
  const freeze: HubMetrics["attemptsFrozen"] = (reason) => {
    for (const each of FREEZE_REASONS) frozen.set({ reason: each }, each === reason ? 1 : 0);
  };
  freeze(undefined);
  return freeze;
}

/** Counts the tasks that are open; which they are is kept, so that a task that is told of twice is one. */
function createOpenTasks(registry: Registry): { put(taskId: string, state: TaskState | undefined): void } {
  const states = new Map<string, TaskState>();
  const gauge = new Gauge({
    name: "cortex_tasks",
    help: "Tasks that have not ended, and those whose end is not known, by state.",
    labelNames: ["state"],
    registers: [registry],
  });
  for (const state of OPEN_STATES) gauge.set({ state }, 0);
  return {
    put(taskId, state) {
      const present = states.get(taskId);
      if (present !== undefined) gauge.dec({ state: present });
      if (state === undefined || !isOpen(state)) {
        states.delete(taskId);
        return;
      }
      states.set(taskId, state);
      gauge.inc({ state });
    },
  };
}

/** Counts ends and measures times. */
function createSettlements(registry: Registry): {
  note(before: TaskRecord | undefined, after: TaskRecord): void;
} {
  const registers = [registry];
  const settled = new Counter({
    name: "cortex_tasks_settled_total",
    help: "Tasks that reached an end, by state and cause; an indeterminate one that is resolved counts once more.",
    labelNames: ["state", "cause"],
    registers,
  });
  const requeued = new Counter({
    name: "cortex_task_requeues_total",
    help: "Attempts that ended without the task: it waits for another one.",
    registers,
  });
  const queued = new Histogram({
    name: "cortex_task_queue_seconds",
    help: "Time from the dispatch of a task until a node was given its first attempt.",
    buckets: QUEUE_BUCKETS_SECONDS,
    registers,
  });
  const ran = new Histogram({
    name: "cortex_task_run_seconds",
    help: "Time from the start of a task on its node until its end was recorded.",
    buckets: RUN_BUCKETS_SECONDS,
    registers,
  });
  return {
    note(before, after) {
      const { state, attempt, createdAtMs, leasedAtMs, startedAtMs, finishedAtMs } = after;
      if (state === "queued" && before !== undefined) requeued.inc();
      if (state === "leased" && attempt === 1 && leasedAtMs !== undefined)
        queued.observe(toSeconds(leasedAtMs - createdAtMs));
      if (isOpen(state) && state !== "indeterminate") return;
      settled.inc({ state, cause: after.cause ?? "none" });
      // How long one ran whose end was not known, nobody knows.
      if (state === "indeterminate" || before?.state === "indeterminate") return;
      if (startedAtMs === undefined || finishedAtMs === undefined) return;
      ran.observe(toSeconds(finishedAtMs - startedAtMs));
    },
  };
}

function isOpen(state: TaskState): boolean {
  return (OPEN_STATES as readonly TaskState[]).includes(state);
}
