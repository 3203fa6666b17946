/**
 * The hub's own clocks on tasks: how long one may wait for a node, and how long a silent node may keep one.
 *
 * - D1 a timer only proposes an event: a task that moved on refuses it, and one whose node came back in the same moment is
 *   left alone.
 * - D2 silence counts from the hub's start at the earliest, so that an outage of the hub is never held against a node; and
 *   while most nodes are missing at once it is held against none (see `disconnect-breaker`): behind such a time every node has
 *   {@link DeadlineOptions.lostAfterMs} to arrive.
 * - D3 the time in the queue counts from the submission, over restarts of the hub: the work may be of no use later. A node
 *   that gives the task back unstarted does not set it back; after an attempt that ran and was lost it counts anew.
 */
import type { Clock, TaskId } from "@cortex-mesh/protocol";
import type { TaskRecord } from "../store/records.js";
import type { TaskWriter } from "./commit.js";
import type { DisconnectBreaker, Freeze } from "./disconnect-breaker.js";
import { isFinal } from "./machine.js";
import { createTaskTimers } from "./task-timers.js";

/** After this silence an `idempotent` task is given to another node. */
export const DEFAULT_LOST_AFTER_MS = 30_000;
/** After this silence a `once` task is settled as indeterminate. */
export const DEFAULT_RECONNECT_WINDOW_MS = 15 * 60_000;

/** How long silence is borne. */
export interface DeadlineOptions {
  /** After this silence of its node an `idempotent` task is given to another one; 25 seconds at least. @default 30 seconds */
  readonly lostAfterMs?: number | undefined;
  /** After this silence of its node a `once` task is `indeterminate`; 25 seconds at least. @default 15 minutes */
  readonly reconnectWindowMs?: number | undefined;
  /**
   * When many nodes vanish at once, nothing is given up for so long, unless half of them are back. A node that is
   * revoked is not waited for, and a hub that starts again waits only {@link DeadlineOptions.restartFreezeMs}.
   *
   * @default 15 minutes
   */
  readonly maxFreezeMs?: number | undefined;
  /** The same after a start of the hub, for the nodes that held tasks. @default 90 seconds */
  readonly restartFreezeMs?: number | undefined;
}

/** Longest time that a timer takes. */
const MAX_TIMER_MS = 2 ** 31 - 1;
/** A node ends what it holds a little after its lease: until then nobody else may get the task. */
const LEASE_MARGIN = 1.25;

/**
 * Refuses times that would give up what still runs, or never anything.
 *
 * @throws RangeError which names the option
 */
export function checkDeadlines(options: DeadlineOptions = {}, leaseMs: number): void {
  const { lostAfterMs, reconnectWindowMs, maxFreezeMs, restartFreezeMs } = options;
  const leastMs = leaseMs * LEASE_MARGIN;
  const ranges = [
    ["lostAfterMs", lostAfterMs, leastMs],
    ["reconnectWindowMs", reconnectWindowMs, leastMs],
    ["maxFreezeMs", maxFreezeMs, 1],
    ["restartFreezeMs", restartFreezeMs, 1],
  ] as const;
  for (const [name, ms, fromMs] of ranges) {
    if (ms === undefined || (ms >= fromMs && ms <= MAX_TIMER_MS)) continue;
    throw new RangeError(`deadlines.${name} is ${ms} ms; it takes ${fromMs} to ${MAX_TIMER_MS} ms`);
  }
}

/** Watches the deadlines of tasks. */
export interface Deadlines {
  /** Starts the timers of a task that was loaded from the store. */
  watch(task: TaskRecord, queueTimeoutMs: number | undefined): void;
  /** Set while no attempt is given up, because many nodes are missing. */
  readonly freeze: Freeze | undefined;
  close(): void;
}

/** What deadlines work with. */
export interface DeadlinesOptions extends DeadlineOptions {
  readonly writer: TaskWriter;
  readonly clock: Clock;
  /** Without one, no number of nodes that vanish is suspicious. */
  readonly breaker?: DisconnectBreaker | undefined;
  readonly onError: (error: unknown) => void;
}

/** Makes the deadlines of a hub; it follows every commit of `writer`. */
export function createDeadlines(options: DeadlinesOptions): Deadlines {
  const { writer, breaker } = options;
  const waits = createQueueDeadlines(options);
  const silence = createSilenceDeadlines(options);
  const forget = (taskId: TaskId): void => {
    waits.forget(taskId);
    silence.forget(taskId);
  };
  const follow = (before: TaskRecord | undefined, task: TaskRecord): void => {
    if (isFinal(task.state)) return forget(task.taskId);
    waits.follow(before, task);
    silence.follow(task);
  };
  writer.onCommit(follow);
  writer.onForget(({ taskId }) => forget(taskId));
  return {
    watch(task, queueTimeoutMs) {
      if (isFinal(task.state)) return;
      if (queueTimeoutMs !== undefined) waits.add(task, queueTimeoutMs);
      follow(undefined, task);
    },
    get freeze() {
      return breaker?.freeze;
    },
    close() {
      waits.close();
      silence.close();
    },
  };
}

interface QueueDeadlines {
  add(task: TaskRecord, queueTimeoutMs: number): void;
  follow(before: TaskRecord | undefined, task: TaskRecord): void;
  forget(taskId: TaskId): void;
  close(): void;
}

function createQueueDeadlines(options: DeadlinesOptions): QueueDeadlines {
  const { clock } = options;
  const timers = createTaskTimers(options);
  /** Of tasks that have one and did not end: when it is over, in monotonic time. */
  const deadlines = new Map<TaskId, { readonly timeoutMs: number; untilMs: number }>();
  return {
    add(task, timeoutMs) {
      // A wall clock that was set back or forward makes the wait at most one time-out longer, and never negative.
      const waitedMs = Math.min(Math.max(0, clock.nowMs() - task.queuedAtMs), timeoutMs);
      deadlines.set(task.taskId, { timeoutMs, untilMs: clock.monotonicMs() + timeoutMs - waitedMs });
    },
    follow(before, { taskId, state }) {
      const deadline = deadlines.get(taskId);
      if (deadline === undefined) return;
      if (state !== "queued") return timers.stop(taskId);
      if (before?.state === "running") deadline.untilMs = clock.monotonicMs() + deadline.timeoutMs;
      const afterMs = Math.max(0, deadline.untilMs - clock.monotonicMs());
      timers.arm(taskId, { afterMs, event: { type: "queueTimeout" } });
    },
    forget(taskId) {
      deadlines.delete(taskId);
      timers.stop(taskId);
    },
    close: () => timers.close(),
  };
}

interface SilenceDeadlines {
  follow(task: TaskRecord): void;
  forget(taskId: TaskId): void;
  close(): void;
}

/** One silence of a task's node, from when the hub first saw it. */
interface Silence {
  readonly attempt: number;
  readonly disconnectedAtMs: number | undefined;
  readonly sinceMs: number;
  readonly borneMs: number;
}

function createSilenceDeadlines(options: DeadlinesOptions): SilenceDeadlines {
  const { clock, breaker } = options;
  const silences = new Map<TaskId, Silence>();
  let notBeforeMs = Number.NEGATIVE_INFINITY;
  // What fires during a freeze is armed anew behind it.
  const timers = createTaskTimers({ ...options, isHeld: () => breaker?.freeze !== undefined });
  const stop = (taskId: TaskId): void => {
    silences.delete(taskId);
    timers.stop(taskId);
  };
  const arm = (taskId: TaskId, { attempt, disconnectedAtMs, sinceMs, borneMs }: Silence): void => {
    timers.stop(taskId);
    timers.arm(taskId, {
      afterMs: Math.max(0, Math.max(sinceMs + borneMs, notBeforeMs) - clock.monotonicMs()),
      event: { type: "lose", attempt, note: `the node was silent for ${borneMs / 1000} s` },
      isDue: (stored) => stored.disconnected && stored.disconnectedAtMs === disconnectedAtMs,
    });
  };
  breaker?.onChange((freeze) => {
    if (freeze !== undefined) return;
    notBeforeMs = clock.monotonicMs() + (options.lostAfterMs ?? DEFAULT_LOST_AFTER_MS);
    for (const [taskId, silence] of silences) arm(taskId, silence);
  });
  return {
    follow(task) {
      const { taskId, attempt, disconnectedAtMs } = task;
      if (!task.disconnected) return stop(taskId);
      const present = silences.get(taskId);
      const isSame = present?.disconnectedAtMs === disconnectedAtMs;
      const borneMs = borneMsOf(task, options);
      if (present !== undefined && isSame && present.borneMs === borneMs) return;
      const sinceMs = present !== undefined && isSame ? present.sinceMs : clock.monotonicMs();
      const silence = { attempt, disconnectedAtMs, sinceMs, borneMs };
      silences.set(taskId, silence);
      arm(taskId, silence);
    },
    forget: stop,
    close: () => timers.close(),
  };
}

/** A task that would not be given to another node gains nothing by being given up early: also one that is to be cancelled. */
function borneMsOf(task: TaskRecord, { lostAfterMs, reconnectWindowMs }: DeadlineOptions): number {
  const isGivenAgain = task.effect === "idempotent" && !task.cancelling;
  if (isGivenAgain) return lostAfterMs ?? DEFAULT_LOST_AFTER_MS;
  return reconnectWindowMs ?? DEFAULT_RECONNECT_WINDOW_MS;
}
