/**
 * Says whether a history kept the promises. It sees what users were told, what really ran, and what users can read at the
 * end; nothing of how hub and nodes work.
 */
import { checkFollowed, type Followed } from "./check-followed.js";
import { checkOutput, type StreamBytes } from "./check-output.js";
import type { Effect, Effects } from "./effects.js";
import { isEnded } from "./end-states.js";
import { createTold, type OracleOptions } from "./told.js";

/** A task as a user reads it. */
export interface SeenTask {
  readonly taskId: string;
  readonly state: string;
  readonly attempt: number;
  readonly effect: "once" | "idempotent";
  readonly revision: number;
  readonly input: unknown;
  readonly cause: string | null;
  readonly nodeId: string | null;
  readonly result: { readonly exitCode: number | null; readonly signal: string | null } | null;
  readonly output: {
    readonly lastSeq: number;
    readonly stdoutBytes: number;
    readonly stderrBytes: number;
    readonly complete: boolean;
  };
}

/** What a user reads of an ended task. */
export interface Reading extends StreamBytes {
  readonly task: SeenTask;
}

/** A promise that was not kept. */
export interface Violation {
  /** Undefined when it is about no task in particular. */
  readonly taskId: string | undefined;
  readonly what: string;
}

/** What a user asked for. */
export interface SubmissionFacts {
  readonly name: string;
  readonly key: string | undefined;
  readonly timeoutMs: number | undefined;
}

/** What is there at the end. */
export interface LastLook {
  readonly tasks: readonly SeenTask[];
  readonly readings: readonly Reading[];
  readonly followed: readonly Followed[];
}

/** Watches one history. */
export interface Oracle {
  /** The API said that it took the submission. */
  accepted(submission: SubmissionFacts, task: SeenTask): void;
  /** The API said that it took the cancel. */
  cancelled(task: SeenTask): void;
  /** A user read the task; ends are remembered. */
  saw(task: SeenTask): void;
  readonly accepts: ReadonlyMap<string, string>;
  /** Judges what is there at the end: the task list, and of each task what can be read. */
  judge(end: LastLook): readonly Violation[];
  /** What was found on the way. */
  readonly violations: readonly Violation[];
  add(violation: Violation): void;
}

/** Makes the oracle of a history. */
export function createOracle(options: OracleOptions): Oracle {
  const { effects } = options;
  /** Task of each accepted submission, and of each key. */
  const accepts = new Map<string, string>();
  const keys = new Map<string, string>();
  const ends = new Map<string, string>();
  const violations: Violation[] = [];
  const add = (violation: Violation): void => void violations.push(violation);
  const told = createTold(options, (taskId, what) => add({ taskId, what }));

  const saw = (task: SeenTask): void => {
    const { taskId } = task;
    const end = endOf(task);
    const before = ends.get(taskId);
    if (before !== undefined && before !== end && !before.startsWith("indeterminate")) {
      add({ taskId, what: `was reported ended (${before}) and is ${end} now` });
    }
    if (isEnded(task.state)) ends.set(taskId, end);
    told.saw(task);
    const process = effects.of(taskId).find(({ attempt }) => attempt === task.attempt);
    if (task.cause === "exit" && before === undefined && process?.ending === undefined) {
      add({ taskId, what: `is reported ${end}, and the process of that attempt did not end yet` });
    }
  };
  return {
    accepts,
    violations,
    add,
    saw,
    accepted({ name, key, timeoutMs }, task) {
      const { taskId } = task;
      told.asked(taskId, timeoutMs);
      if (key !== undefined) {
        const first = keys.get(key) ?? taskId;
        keys.set(key, first);
        if (first !== taskId) add({ taskId, what: `was made for the idempotency key of ${first}` });
      }
      accepts.set(taskId, name);
      saw(task);
    },
    cancelled(task) {
      told.cancelled(task.taskId);
      saw(task);
    },
    judge({ tasks, readings, followed }) {
      for (const task of tasks) saw(task);
      judgeList(tasks, accepts, add);
      judgeStarts(effects, tasks, add);
      told.judge();
      for (const reading of readings) {
        const { taskId } = reading.task;
        judgeTask(reading, options, add);
        // Of one that is stuck nothing was read.
        for (const each of followed.filter((one) => one.taskId === taskId && isEnded(reading.task.state))) {
          for (const what of checkFollowed(each, reading.events)) add({ taskId, what });
        }
      }
      return violations;
    },
  };
}

type Add = (violation: Violation) => void;

function endOf({ state, attempt, result }: SeenTask): string {
  const how = result?.exitCode ?? result?.signal ?? "no exit code";
  return `${state}, attempt ${attempt}, ${how}`;
}

/** Nothing that was accepted is lost, and one submission with a key is one task. */
function judgeList(tasks: readonly SeenTask[], accepts: ReadonlyMap<string, string>, add: Add): void {
  const present = new Map(tasks.map((task) => [task.taskId, task]));
  for (const [taskId, name] of accepts) {
    const task = present.get(taskId);
    if (task === undefined) add({ taskId, what: `was accepted (${name}) and is not there any more` });
  }
  for (const { taskId, state } of tasks) {
    if (!isEnded(state)) add({ taskId, what: `is stuck: ${state} long after everything healed` });
  }
  const byName = new Map<string, string>();
  for (const { taskId, input } of tasks) {
    const name = nameOf(input);
    const first = byName.get(name) ?? taskId;
    byName.set(name, first);
    if (first !== taskId) add({ taskId, what: `is a second task for one submission (${name}), the first is ${first}` });
  }
}

/** The name that a submission gave its process. */
export function nameOf(input: unknown): string {
  const argv = (input as { readonly argv?: readonly string[] }).argv;
  return argv?.[1] ?? "";
}

/** A `once` task starts at most once, an attempt of any task as well, and nothing starts that nobody asked for. */
function judgeStarts(effects: Effects, tasks: readonly SeenTask[], add: Add): void {
  const present = new Map(tasks.map((task) => [task.taskId, task]));
  for (const taskId of new Set(effects.all().map((effect) => effect.taskId))) {
    const attempts = effects.of(taskId).map(({ attempt }) => attempt);
    const isOnce = present.get(taskId)?.effect === "once";
    const hasRepeat = new Set(attempts).size < attempts.length;
    if ((isOnce && attempts.length > 1) || hasRepeat) {
      add({ taskId, what: `started ${times(attempts.length)} (attempts ${attempts.join(" and ")})` });
    }
    if (!present.has(taskId)) add({ taskId, what: "ran and is not known to the hub" });
  }
  for (const { taskId, attempt, node } of effects.alive()) {
    add({ taskId, what: `has a process of attempt ${attempt} alive on ${node} after its end` });
  }
}

function times(count: number): string {
  return count === 2 ? "twice" : `${count} times`;
}

function judgeTask(reading: Reading, { effects, reach }: OracleOptions, add: Add): void {
  const { task, events } = reading;
  const { taskId } = task;
  const ran = effects.of(taskId);
  const fail = (what: string): void => add({ taskId, what });
  // One that is stuck is told of elsewhere.
  if (!isEnded(task.state)) return;
  const holeAt = events.findIndex(({ seq }, index) => seq !== index + 1);
  if (holeAt !== -1) fail(`has a hole in its events: ${events[holeAt]?.seq} comes at place ${holeAt + 1}`);
  if (events.length !== task.output.lastSeq) fail(`has ${events.length} events, ${task.output.lastSeq} are promised`);
  judgeEnds(events, fail);
  const last = ran.find(({ attempt }) => attempt === task.attempt);
  judgeResult(task, last, fail);
  // A log loses records with its node, before the process ended: what was reported as written is durable.
  const mayLose = ({ node, startedAtMs, endedAtMs = Number.POSITIVE_INFINITY }: Effect): boolean =>
    reach.hasDied(node, startedAtMs, endedAtMs);
  for (const fault of checkOutput(reading, ran, mayLose)) fail(fault);
}

/** An end is recorded once; only an indeterminate one is followed by another. */
function judgeEnds(events: Reading["events"], fail: (what: string) => void): void {
  const ends = events.flatMap(({ state }) => (state !== undefined && isEnded(state) ? [state] : []));
  const isAllowed = ends.length <= 1 || (ends.length === 2 && ends[0] === "indeterminate" && ends[1] !== ends[0]);
  if (!isAllowed) fail(`ended more than once: ${ends.join(", then ")}`);
}

/** What is reported is what the process of that attempt did. A user's own resolution is no report. */
function judgeResult(task: SeenTask, effect: Effect | undefined, fail: (what: string) => void): void {
  const { state, cause, result, attempt } = task;
  if (cause !== "exit") return;
  if (effect?.ending?.kind !== "exit") {
    fail(`is reported ${state} by the exit of attempt ${attempt}, whose process did not run to its end`);
  } else if (effect.ending.exitCode !== result?.exitCode) {
    fail(
      `is reported ${state} with exit code ${result?.exitCode}, the process of attempt ${attempt} exited with ` +
        `${effect.ending.exitCode}`,
    );
  } else if ((effect.ending.exitCode === 0) !== (state === "succeeded")) {
    fail(`is reported ${state}, the process of attempt ${attempt} exited with ${effect.ending.exitCode}`);
  }
}
