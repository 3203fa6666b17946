/** Kills a node while it runs tasks that may run once and tasks that may run again, and checks what came of them. */
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { dispatchShell, openSession, type TestTask } from "./hub-keeper.js";
import { countProgress } from "./hub-kills.js";
import { assertGapless, outputIn, readEffects } from "./printing-task.js";
import { countMarked } from "./processes.js";
import {
  call,
  followTask,
  readOutput,
  type Stage,
  type TaskStreamEvent,
  type TestHub,
  type TestNode,
} from "./programs.js";
import type { SeededRandom } from "./seed.js";

/** What is done. */
export interface NodeKillPlan {
  readonly stage: Stage;
  readonly hub: TestHub;
  readonly node: TestNode;
  readonly random: SeededRandom;
  readonly onceTasks: number;
  readonly idempotentTasks: number;
}

/** What was done and seen. */
export interface NodeKillReport {
  /** The node that was started again. */
  readonly node: TestNode;
  /** Ends of the tasks that may run once, by state. */
  readonly ends: Readonly<Record<string, number>>;
  /** Tasks that ran again, as they may. */
  readonly repeats: number;
  /** Processes of the tasks that outlived the killed node. */
  readonly orphans: number;
}

interface Running {
  readonly name: string;
  readonly taskId: string;
  readonly isOnce: boolean;
  /** What its reader got before the kill. */
  seenBeforeKill: string;
  readonly events: TaskStreamEvent[];
}

let lastRound = 0;

/**
 * Starts the tasks, kills the node when a number of them drawn at random printed, starts it again, lets everything end.
 *
 * @throws AssertionError for anything that was promised and is not so.
 */
export async function killNodeUnderTasks(plan: NodeKillPlan): Promise<NodeKillReport> {
  const { stage, hub, node, random } = plan;
  lastRound += 1;
  const mark = `cortex-kill-${process.pid}-${lastRound}`;
  const workspace = join(node.workspace, "w");
  await mkdir(workspace, { recursive: true });
  const sessionId = await openSession(hub, node.nodeId);
  const names = [
    ...Array.from({ length: plan.onceTasks }, (_, index) => `once-${lastRound}-${index}`),
    ...Array.from({ length: plan.idempotentTasks }, (_, index) => `idempotent-${lastRound}-${index}`),
  ];
  const tasks = await Promise.all(
    names.map(async (name): Promise<Running> => {
      const isOnce = name.startsWith("once");
      const effect = isOnce ? "once" : "idempotent";
      const command = taskCommand(name, mark);
      return {
        name,
        isOnce,
        seenBeforeKill: "",
        events: [],
        taskId: await dispatchShell(hub, { sessionId, command, effect }),
      };
    }),
  );
  const progress = countProgress();
  const reading = Promise.all(tasks.map((task) => follow(hub, task, () => progress.add(1))));
  reading.catch(progress.fail);
  await progress.reaches(random.between(Math.ceil(names.length / 2), names.length));
  node.program.child.kill("SIGKILL");
  await node.program.exited;
  for (const task of tasks) task.seenBeforeKill = outputIn(task.events, "stdout");
  const orphans = countMarked(mark);
  assert.ok(orphans > 0, "processes of the tasks outlive a killed node");

  const again = stage.startAgain(node);
  await again.program.event("online");
  await writeFile(join(workspace, `go-${mark}`), "");
  await reading;
  assert.equal(countMarked(mark), 0, "no process of a task is left");
  const runs = await readEffects(workspace);
  const ends: Record<string, number> = {};
  let repeats = 0;
  for (const task of tasks) {
    const state = await assertEnd(hub, task, runs.get(task.name) ?? 0);
    if (task.isOnce) ends[state] = (ends[state] ?? 0) + 1;
    else repeats += (runs.get(task.name) ?? 1) - 1;
  }
  assert.ok((ends["indeterminate"] ?? 0) > 0, "some tasks were running when the node was killed");
  return { node: again, ends, repeats, orphans };
}

/** Marks its start, leaves children behind (one in a session of its own), prints, and waits for the word to end. */
function taskCommand(name: string, mark: string): string {
  return [
    `echo ${name} >> effects.log`,
    `bash -c 'exec -a ${mark} sleep 600' > /dev/null 2>&1 &`,
    `setsid bash -c 'exec -a ${mark} sleep 601' > /dev/null 2>&1 &`,
    `echo "${name} began"`,
    "exec 9<> <(:)",
    `until [ -e go-${mark} ]; do read -t 0.02 -u 9; done`,
    `echo "${name} ended"`,
  ].join("\n");
}

async function follow(hub: TestHub, { taskId, events }: Running, onFirstOutput: () => void): Promise<void> {
  let hasPrinted = false;
  for await (const event of followTask(hub, taskId)) {
    events.push(event);
    if (event.event !== "stdout" || hasPrinted) continue;
    hasPrinted = true;
    onFirstOutput();
  }
}

async function assertEnd(hub: TestHub, { name, taskId, isOnce, ...read }: Running, runs: number): Promise<string> {
  const { state, cause, attempt, output } = await call<TestTask>(hub, `GET /tasks/${taskId}`);
  const text = (await readOutput(hub, taskId)).toString();
  assertGapless(read.events);
  assert.equal(output.complete, true, `the output of ${name} is complete`);
  assert.equal(text, outputIn(read.events, "stdout"), `the reader of ${name} got what is stored`);
  assert.ok(text.startsWith(read.seenBeforeKill), `${name} keeps what was seen of it`);
  if (!isOnce) {
    assert.equal(state, "succeeded", `${name} was run again and succeeded`);
    assert.ok(runs <= attempt, `${name} ran ${runs} times in ${attempt} attempts`);
    assert.ok(text.endsWith(`${name} began\n${name} ended\n`), `${name} ended with its whole output`);
    return state;
  }
  assert.ok(runs <= 1, `${name} ran ${runs} times`);
  if (state === "succeeded") assert.equal(text, `${name} began\n${name} ended\n`, `${name} has its whole output`);
  else assert.deepEqual({ state, cause }, { state: "indeterminate", cause: "node_lost" }, `${name} is not known`);
  if (state === "indeterminate") assert.ok(`${name} began\n`.startsWith(text), `${name} was not repeated`);
  return state;
}
