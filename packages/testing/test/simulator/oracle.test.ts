/** The oracle itself: every promise has a case in which it is broken. */
import { describe, expect, it } from "vitest";
import { checkQuiet } from "../../src/simulator/check-quiet.js";
import { createEffects, type Effect } from "../../src/simulator/effects.js";
import {
  CASE_CLASSES,
  CRASH_POINTS,
  checkFigures,
  createFigures,
  FAULT_KINDS,
  RULE_TESTS,
} from "../../src/simulator/figures.js";
import { createOracle, type Reading, type SeenTask } from "../../src/simulator/oracle.js";
import { createReach, type Reach } from "../../src/simulator/reach.js";
import type { SeenEvent } from "../../src/simulator/seen-event.js";

const task: SeenTask = {
  taskId: "task_1",
  state: "succeeded",
  attempt: 1,
  effect: "once",
  revision: 4,
  input: { argv: ["work", "a"] },
  cause: "exit",
  nodeId: "node_1",
  result: { exitCode: 0, signal: null },
  output: { lastSeq: 3, stdoutBytes: 5, stderrBytes: 0, complete: true },
};
const effect: Effect = {
  taskId: "task_1",
  attempt: 1,
  node: "node-0",
  startedAtMs: 0,
  written: { stdout: "hello", stderr: "" },
  ending: { kind: "exit", exitCode: 0 },
  endedAtMs: 1_000,
};
const reading: Reading = {
  task,
  events: eventsOf("hello"),
  stdout: "hello",
  stderr: "",
};

/** A task that ran once; `undefined` stands for a gap. */
function eventsOf(...output: readonly (string | undefined)[]): readonly SeenEvent[] {
  const middle = output.map((text) => ({ kind: text === undefined ? "gap" : "stdout", text: text ?? "" }));
  const states = { kind: "state", text: "", attempt: 1 };
  return [{ ...states, state: "running" }, ...middle, { ...states, state: "succeeded" }].map((event, index) => ({
    seq: index + 1,
    ...event,
  }));
}

/** What is read when `output` is what came of the process. */
function readingOf(...output: readonly (string | undefined)[]): Partial<Reading> {
  const events = eventsOf(...output);
  const hasGap = output.includes(undefined);
  const stdout = output.join("");
  return { task: { ...task, output: { ...task.output, lastSeq: events.length, complete: !hasGap } }, events, stdout };
}

interface Story {
  readonly effects?: readonly Effect[];
  readonly seen?: readonly SeenTask[];
  readonly tasks?: readonly SeenTask[];
  readonly reading?: Partial<Reading>;
  readonly timeoutMs?: number;
  /** When the API acknowledged a cancel. */
  readonly cancelledAtMs?: number;
  /** When the end was seen first; at the end otherwise. */
  readonly endSeenAtMs?: number;
  readonly reach?: (reach: Reach, setNow: (nowMs: number) => void) => void;
  readonly followed?: { readonly events: readonly SeenEvent[]; readonly hasEnded: boolean };
}

const LATE_MS = 100_000;

const NO_OUTPUT = { lastSeq: 0, stdoutBytes: 0, stderrBytes: 0, complete: false };

function judge(story: Story): readonly string[] {
  const { effects = [effect], seen = [], tasks, reading: read = {} } = story;
  const record = createEffects(() => undefined);
  for (const each of effects) record.started(each);
  let nowMs = 0;
  const setNow = (toMs: number): void => {
    nowMs = toMs;
  };
  const reach = createReach(() => nowMs);
  const oracle = createOracle({ effects: record, reach, nowMs: () => nowMs });
  const open: SeenTask = { ...task, state: "running", cause: null, result: null, output: NO_OUTPUT };
  oracle.accepted({ name: "a", key: "key-a", timeoutMs: story.timeoutMs }, { ...open, state: "queued" });
  story.reach?.(reach, setNow);
  for (const each of seen) oracle.saw(each);
  if (story.cancelledAtMs !== undefined) {
    setNow(story.cancelledAtMs);
    oracle.cancelled(open);
  }
  const last = { ...reading, ...read };
  if (story.endSeenAtMs !== undefined) {
    setNow(story.endSeenAtMs);
    oracle.saw(last.task);
  }
  setNow(LATE_MS);
  const followed = story.followed === undefined ? [] : [{ taskId: task.taskId, ...story.followed }];
  return oracle.judge({ tasks: tasks ?? [last.task], readings: [last], followed }).map(({ what }) => what);
}

const written = (stdout: string): Effect => ({ ...effect, written: { stdout, stderr: "" } });

/** The node goes at a time and is back 6 s later. */
function diesAt(atMs: number): NonNullable<Story["reach"]> {
  return (reach, setNow) => {
    setNow(atMs);
    reach.died("node-0");
    setNow(atMs + 6_000);
    reach.setOnline("node-0", true);
  };
}

describe("the oracle", () => {
  it("P5: it finds nothing in a history that kept every promise", () => {
    expect(judge({})).toEqual([]);
  });

  it.each<[string, Story, RegExp]>([
    ["a task that is gone", { tasks: [] }, /was accepted \(a\) and is not there any more/],
    ["a second task for one key", { tasks: [task, { ...task, taskId: "task_2" }] }, /a second task for one submission/],
    ["a task that is stuck", { tasks: [{ ...task, state: "running" }] }, /is stuck: running/],
    ["a second start", { effects: [effect, effect] }, /started twice \(attempts 1 and 1\)/],
    ["a second attempt of a once task", { effects: [effect, { ...effect, attempt: 2 }] }, /started twice/],
    [
      "a process that is left",
      { effects: [{ ...effect, ending: undefined, endedAtMs: undefined }] },
      /alive on node-0 after its end/,
    ],
    ["an end that changed", { seen: [{ ...task, state: "failed" }] }, /was reported ended \(failed/],
    [
      "an end before the process ended",
      { effects: [{ ...effect, ending: undefined }], seen: [task] },
      /the process of that attempt did not end yet/,
    ],
    [
      "a result of another process",
      { effects: [{ ...effect, ending: { kind: "exit", exitCode: 3 } }] },
      /with exit code 0, the process of attempt 1 exited with 3/,
    ],
    [
      "a result of a process that was killed",
      { effects: [{ ...effect, ending: { kind: "signal", signal: "SIGKILL" } }] },
      /whose process did not run to its end/,
    ],
    [
      "output that is cut",
      { reading: readingOf("hell") },
      /stdout of 4 bytes from attempt 1 that is not what was written/,
    ],
    ["output that is not there", { reading: readingOf() }, /stdout of 0 bytes from attempt 1 that is not what was/],
    ["output that is repeated", { reading: readingOf("hello", "hello") }, /stdout of 10 bytes from attempt 1/],
    ["output that is followed as other bytes", { reading: { stdout: "hallo" } }, /its events are 5 other bytes/],
    ["output of an attempt that never ran", { effects: [] }, /stdout of 5 bytes from attempt 1/],
    [
      "a gap of a node that never went",
      { reading: readingOf("he", undefined, "o") },
      /has 1 gaps in the output of attempt 1, whose node was there until its end/,
    ],
    [
      "a gap of a node that went after the end",
      { reading: readingOf("he", undefined, "o"), reach: diesAt(2_000) },
      /has 1 gaps in the output of attempt 1/,
    ],
    [
      "a gap with other bytes behind it",
      { reading: readingOf("he", undefined, "x"), reach: diesAt(500) },
      /stdout of 3 bytes from attempt 1/,
    ],
    [
      "two runs that are missing for one gap",
      { reading: readingOf("h", undefined, "lo"), effects: [written("hello you")], reach: diesAt(500) },
      /stdout of 3 bytes from attempt 1/,
    ],
    [
      "a gap that is said to be complete",
      { reading: { ...readingOf("he", undefined, "o"), task: { ...task, output: { ...task.output, lastSeq: 5 } } } },
      /complete, and has a gap/,
    ],
    [
      "all output that is never said to be complete",
      { reading: { task: { ...task, output: { ...task.output, complete: false } } } },
      /has all of its output and is not said to be complete/,
    ],
    [
      "output that grew after it was complete",
      { seen: [{ ...task, output: { ...task.output, stdoutBytes: 3 } }] },
      /complete at 3 bytes, and has 5 now/,
    ],
    [
      "a follower to whom an event came twice",
      { followed: { events: [...reading.events.slice(0, 2), ...reading.events.slice(1)], hasEnded: true } },
      /was followed: event 2 \(stdout\) came at place 3/,
    ],
    [
      "a follower who saw what is not there at the end",
      { followed: { events: eventsOf("hallo"), hasEnded: true } },
      /was followed: event 2 \(stdout\) came at place 2, and is not what is there now/,
    ],
    [
      "a follower whose stream ended early",
      { followed: { events: reading.events.slice(0, 2), hasEnded: true } },
      /followed to its end, and only 2 of 3 events came/,
    ],
    [
      "a follower whose stream does not end",
      { followed: { events: reading.events, hasEnded: false } },
      /3 of 3 events came, and no end/,
    ],
    [
      "a process that starts after its end was told",
      { effects: [{ ...effect, startedAtMs: 900 }], endSeenAtMs: 500 },
      /started attempt 1 on node-0 400 ms after its end was told/,
    ],
    [
      "a time limit that nobody keeps",
      { effects: [{ ...effect, endedAtMs: 9_000 }], timeoutMs: 1_000 },
      /ran attempt 1 for 9000 ms with a time limit of 1000 ms/,
    ],
    [
      "a cancel that does nothing",
      { effects: [{ ...effect, endedAtMs: 9_000 }], cancelledAtMs: 1_000 },
      /ran attempt 1 on node-0 for 8000 ms after its cancel was acknowledged/,
    ],
    [
      "a hole in the events",
      { reading: { events: [...reading.events.slice(0, 2), { ...reading.events[2]!, seq: 4 }] } },
      /has a hole in its events/,
    ],
    [
      "two ends in the events",
      {
        reading: {
          events: [
            { seq: 1, kind: "state", state: "failed", text: "" },
            { seq: 2, kind: "state", state: "succeeded", text: "" },
          ],
        },
      },
      /ended more than once: failed, then succeeded/,
    ],
  ])("P5: it names %s", (_what, story, message) => {
    expect(judge(story)).toContainEqual(expect.stringMatching(message));
  });

  it("P5: an indeterminate end may be followed by one other", () => {
    const events = [
      { seq: 1, kind: "state", state: "indeterminate", attempt: 1, text: "" },
      { seq: 2, kind: "stdout", text: "hello" },
      { seq: 3, kind: "state", state: "succeeded", attempt: 1, text: "" },
    ];
    const lost: SeenTask = { ...task, state: "indeterminate", cause: "node_lost", result: null, output: NO_OUTPUT };
    expect(judge({ seen: [lost], reading: { events } })).toEqual([]);
  });

  it.each<[string, Story]>([
    [
      "a run of a log missing whose node died while the process ran",
      { reading: readingOf("he", undefined, "o"), reach: diesAt(500) },
    ],
    ["the end of such a log missing", { reading: readingOf("he", undefined), reach: diesAt(500) }],
    [
      "a process that outlived its time limit while its node was down",
      { effects: [{ ...effect, endedAtMs: 9_000 }], timeoutMs: 1_000, reach: diesAt(500) },
    ],
    [
      "a process that outlived a cancel while its node could not hear of it",
      {
        effects: [{ ...effect, endedAtMs: 9_000 }],
        cancelledAtMs: 1_000,
        reach: (reach) => reach.disturbed("node-0", 4_000),
      },
    ],
    ["a follower who saw it all", { followed: { events: reading.events, hasEnded: true } }],
  ])("P5: it bears with %s", (_what, story) => {
    expect(judge(story)).toEqual([]);
  });

  it("P5: the beginning of what an attempt wrote that was given up may be all there is, anything else may not", () => {
    const running = { kind: "state", text: "", state: "running" };
    const events = (given: string): readonly SeenEvent[] =>
      [
        { ...running, attempt: 1 },
        { kind: "stdout", text: given },
        { ...running, attempt: 2 },
        ...eventsOf("hello").slice(1),
      ].map((event, index) => ({
        ...event,
        ...("attempt" in event ? { attempt: Math.max(event.attempt ?? 0, index > 1 ? 2 : 1) } : {}),
        seq: index + 1,
      }));
    const again: SeenTask = { ...task, effect: "idempotent", attempt: 2, output: { ...task.output, lastSeq: 5 } };
    const told = (given: string): readonly string[] =>
      judge({
        effects: [written("first"), { ...effect, attempt: 2 }],
        reading: { task: again, events: events(given), stdout: `${given}hello` },
      });
    expect(told("fir")).toEqual([]);
    expect(told("irst")).toContainEqual(expect.stringMatching(/stdout of 4 bytes from attempt 1/));
  });

  it("P5: a time that several faults cover counts once", () => {
    let nowMs = 0;
    const reach = createReach(() => nowMs);
    reach.disturbed("node-0", 1_000);
    nowMs = 500;
    reach.died("node-0");
    nowMs = 2_000;
    reach.setOnline("node-0", true);
    expect(reach.cutOffMs("node-0", 0, 5_000)).toBe(2_000);
    expect(reach.downMs("node-0", 0, 5_000)).toBe(1_500);
    expect(reach.cutOffMs("node-1", 0, 5_000)).toBe(0);
  });

  it("P5: a history that does not come to rest is told by each condition that is not met", () => {
    const rest = { openCallCount: 0, runningCount: 0, offlineNodes: [], isListed: true };
    expect(checkQuiet(rest)).toEqual([]);
    expect(checkQuiet({ openCallCount: 2, runningCount: 1, offlineNodes: ["node-1"], isListed: false })).toEqual([
      "is not quiet: 2 calls of users were never answered",
      "is not quiet: 1 processes run",
      "is not quiet: node-1 is not online",
      "is not quiet: the hub does not list its tasks",
    ]);
  });

  it("P5: a run in which more than 15 % of the tasks were rejected, or something was never met, proves little", () => {
    const figures = createFigures();
    for (const name of [...FAULT_KINDS, ...CRASH_POINTS, ...CASE_CLASSES, ...RULE_TESTS]) figures.count(name);
    figures.tasks = 7;
    expect(checkFigures(figures)).toEqual([]);
    figures.tasks = 6;
    expect(checkFigures(figures)).toEqual(["rejected: 16.7 % of the tasks, at most 15.0 % may be"]);
    figures.tasks = 7;
    figures.counts.set("drain", 0);
    expect(checkFigures(figures)).toEqual(["never met: drain"]);
  });
});
