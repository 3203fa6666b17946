/** Kills a hub again and again while tasks print, and holds what came of them against what must. */
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import {
  dispatchShell,
  type Following,
  followThrough,
  type HubKeeper,
  keepHub,
  openSession,
  type TestTask,
} from "./hub-keeper.js";
import {
  assertEffectsOnce,
  assertGapless,
  countLines,
  expectedOutput,
  letPrint,
  outputIn,
  type PrintingPlan,
  printingCommand,
} from "./printing-task.js";
import { call, readOutput, type Stage, type TestHub, type TestNode } from "./programs.js";
import type { SeededRandom } from "./seed.js";

/** What is done. */
export interface HubKillPlan {
  readonly stage: Stage;
  readonly random: SeededRandom;
  readonly kills: number;
  readonly tasks: number;
  readonly linesAPart: number;
}

/** What was done and seen. */
export interface HubKillReport {
  readonly kills: number;
  readonly tasks: number;
  readonly lines: number;
  /** How often readers had to connect again. */
  readonly resumes: number;
}

/** Time between two lines of a task, in seconds. */
const PAUSE_S = 0.02;

/**
 * Runs the tasks, kills the hub once in each of their parts but the last, and checks everything.
 *
 * The next part begins while the hub is down, so that output waits for it.
 *
 * @throws AssertionError for anything that was promised and is not so.
 */
export async function killHubUnderLoad({ stage, random, ...plan }: HubKillPlan): Promise<HubKillReport> {
  const printing: PrintingPlan = { parts: plan.kills + 1, linesAPart: plan.linesAPart, pauseS: PAUSE_S };
  const keeper = await keepHub(stage);
  const hub = await keeper.up();
  const node = await stage.node(hub);
  const workspace = join(node.workspace, "w");
  await mkdir(workspace, { recursive: true });
  const sessionId = await openSession(hub, node.nodeId);
  const names = Array.from({ length: plan.tasks }, (_, index) => `task-${index}`);
  const ids = await Promise.all(
    names.map((name) => dispatchShell(hub, { sessionId, command: printingCommand(name, printing) })),
  );
  const progress = countProgress();
  const reading = Promise.all(
    ids.map((taskId) => followThrough(keeper, taskId, (event) => progress.add(countLines(event)))),
  );
  // A reader that fails ends the test, whatever it waits for.
  reading.catch(progress.fail);

  const linesOfPart = plan.tasks * plan.linesAPart * 2;
  await letPrint(workspace, 1);
  for (let kill = 1; kill <= plan.kills; kill += 1) {
    await progress.reaches(Math.floor((kill - 1 + 0.05 + 0.9 * random.next()) * linesOfPart));
    await keeper.kill();
    await letPrint(workspace, kill + 1);
    await keeper.revive();
  }
  const followings = await reading;
  for (const [index, name] of names.entries()) {
    await assertWhole({ hub: await keeper.up(), taskId: ids[index] ?? "", name, printing }, followings[index]);
  }
  await assertEffectsOnce(workspace, names);
  await endKept(keeper, node);
  const resumes = followings.reduce((sum, each) => sum + each.resumes, 0);
  return { kills: keeper.deaths, tasks: plan.tasks, lines: progress.count(), resumes };
}

interface Printed {
  readonly hub: TestHub;
  readonly taskId: string;
  readonly name: string;
  readonly printing: PrintingPlan;
}

async function assertWhole({ hub, taskId, name, printing }: Printed, following: Following | undefined): Promise<void> {
  const task = await call<TestTask>(hub, `GET /tasks/${taskId}`);
  assert.deepEqual(
    { state: task.state, attempt: task.attempt, complete: task.output.complete },
    { state: "succeeded", attempt: 1, complete: true },
    `${name} succeeded at its first attempt, with all of its output`,
  );
  const events = following?.events ?? [];
  assertGapless(events);
  for (const [stream, short] of [
    ["stdout", "out"],
    ["stderr", "err"],
  ] as const) {
    const expected = expectedOutput(name, short, printing);
    assert.equal(outputIn(events, stream), expected, `the reader of ${name} got all of ${stream} in order`);
    assert.equal((await readOutput(hub, taskId, { stream })).toString(), expected, `${stream} of ${name} is whole`);
  }
}

/** Ends both, so that a next round has the machine to itself. */
async function endKept(keeper: HubKeeper, node: TestNode): Promise<void> {
  node.program.child.kill("SIGTERM");
  assert.equal(await node.program.exited, 0, "the node ends with 0");
  const { program } = await keeper.up();
  program.child.kill("SIGTERM");
  assert.equal(await program.exited, 0, "the hub ends with 0");
}

interface Progress {
  add(lines: number): void;
  count(): number;
  readonly fail: (error: unknown) => void;
  /** Resolves when so many lines were counted; rejects after `fail`. */
  reaches(lines: number): Promise<void>;
}

/** Counts lines and says when there are enough. One waits at a time. */
export function countProgress(): Progress {
  let lines = 0;
  let wake: () => void = () => undefined;
  let failure: { readonly error: unknown } | undefined;
  return {
    add(more) {
      lines += more;
      wake();
    },
    count: () => lines,
    fail(error) {
      failure = { error };
      wake();
    },
    async reaches(enough) {
      while (lines < enough) {
        if (failure !== undefined) throw failure.error;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}
