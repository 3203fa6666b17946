/** The oracle itself: every promise has a case in which it is broken. */
import { describe, expect, it } from "vitest";
import { createEffects, type Effect } from "../../src/simulator/effects.js";
import { createOracle, type Reading, type SeenTask } from "../../src/simulator/oracle.js";

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
  output: { lastSeq: 2, complete: true },
};
const effect: Effect = {
  taskId: "task_1",
  attempt: 1,
  node: "node-0",
  startedAtMs: 0,
  written: { stdout: "hello", stderr: "" },
  ending: { kind: "exit", exitCode: 0 },
};
const reading: Reading = {
  task,
  events: [
    { seq: 1, kind: "state", state: "running" },
    { seq: 2, kind: "state", state: "succeeded" },
  ],
  stdout: "hello",
  stderr: "",
};

interface Story {
  readonly effects?: readonly Effect[];
  readonly seen?: readonly SeenTask[];
  readonly tasks?: readonly SeenTask[];
  readonly reading?: Partial<Reading>;
}

function judge({ effects = [effect], seen = [], tasks, reading: read = {} }: Story): readonly string[] {
  const record = createEffects(() => undefined);
  for (const each of effects) record.started(each);
  const oracle = createOracle(record);
  oracle.accepted("a", "key-a", { ...task, state: "queued", cause: null, result: null });
  for (const each of seen) oracle.saw(each);
  const last = { ...reading, ...read };
  return oracle.judge({ tasks: tasks ?? [last.task], readings: [last] }).map(({ what }) => what);
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
    ["a process that is left", { effects: [{ ...effect, ending: undefined }] }, /alive on node-0 after its end/],
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
    ["output that is cut", { reading: { stdout: "hell" } }, /stdout of 4 bytes that is not what was written/],
    ["output that is repeated", { reading: { stdout: "hellohello" } }, /stdout of 10 bytes/],
    [
      "a hole in the events",
      { reading: { events: [reading.events[0]!, { seq: 3, kind: "state", state: "succeeded" }] } },
      /has a hole in its events/,
    ],
    [
      "two ends in the events",
      {
        reading: {
          events: [
            { seq: 1, kind: "state", state: "failed" },
            { seq: 2, kind: "state", state: "succeeded" },
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
      { seq: 1, kind: "state", state: "indeterminate" },
      { seq: 2, kind: "state", state: "succeeded" },
    ];
    const lost: SeenTask = { ...task, state: "indeterminate", cause: "node_lost", result: null };
    expect(judge({ seen: [lost], reading: { events } })).toEqual([]);
  });
});
