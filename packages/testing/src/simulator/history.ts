/**
 * One history: a hub and its nodes work for a while under faults, everything heals, the run goes on until it is quiet, and
 * the oracle judges.
 */
import { createHash } from "node:crypto";
import { shell } from "@cortex-mesh/node-sdk";
import { toCortexError } from "@cortex-mesh/protocol";
import type { NodeReachChange, NodeWork } from "../mesh/node-machine.js";
import { openWorld, type World, type WorldHooks } from "../mesh/world.js";
import { createSeededRandom, type SeededRandom } from "../random.js";
import type { FaultKind } from "../seeded-faults.js";
import { type Break, forgetAttempts, LAZY_SYNC_MS } from "./breaks.js";
import { checkQuiet, type Rest } from "./check-quiet.js";
import { createEffects, type Effects } from "./effects.js";
import { isEnded } from "./end-states.js";
import { createFaultDriver, type FaultDriver } from "./fault-driver.js";
import { planFaults } from "./fault-plan.js";
import { createFigures, type FigureName, type Figures } from "./figures.js";
import { createOracle, type Oracle, type Reading, type SeenTask, type Violation } from "./oracle.js";
import { createReach, type Reach } from "./reach.js";
import { createSandbox } from "./sandbox.js";
import { createTamper } from "./tamper.js";
import { createTrace, type Trace } from "./trace.js";
import { createUsers, USER, type Users } from "./users.js";
import { ASKING_MS, type Submission, writeWorkload } from "./workload.js";

/** What to run. */
export interface HistoryOptions {
  readonly seed: number;
  /** A rule to take out. */
  readonly broken?: Break | undefined;
  /** Keeps the lines of the trace. @default false */
  readonly isTraced?: boolean | undefined;
}

/** How a history went. */
export interface History {
  readonly seed: number;
  readonly violations: readonly Violation[];
  readonly figures: Figures;
  readonly traceHash: string;
  readonly trace: readonly string[];
}

const MIN_NODES = 2;
const MAX_MORE_NODES = 1;
/** Slots of a node: few, so that tasks wait. */
const MAX_TASKS = 6;
/** Short, so that a history meets them; production bears silence for longer. */
const LOST_AFTER_MS = 3_000;
const RECONNECT_WINDOW_MS = 30_000;
/** Time for the nodes to come online before anything fails. */
const CALM_MS = 3_000;
/** When machines and paths heal, before the users ask for the last time; frames of logs get lost a while longer. */
const CALM_DOWN_BEFORE_MS = 10_000;
const LOSSES_AFTER_MS = 8_000;
/** Longest time from the healing until everything has ended. */
const QUIET_WITHIN_MS = 8 * 60_000;
/** What is left is looked at after this time: longer than a node waits for an answer that got lost. */
const AFTERMATH_MS = 50_000;
const STEP_MS = 1_000;
/** Seconds that reading an ended task may take. */
const READ_STEPS = 10;
/** Turns of the event loop a moment: nothing here takes more than one. */
const TURNS = 2;
/** Time in which a fault of a frame is noticed and its connection made anew. */
const FRAME_FAULT_MS: Readonly<Record<FaultKind, number>> = {
  drop: 8_000,
  reorder: 8_000,
  delay: 2_500,
  duplicate: 0,
};
/** What one answer of a user's reading may take. */
const LATENCY_MS = { min: 1, max: 25 };

interface Run {
  readonly world: World;
  readonly faults: FaultDriver;
  readonly users: Users;
  readonly oracle: Oracle;
  readonly effects: Effects;
  readonly figures: Figures;
  readonly trace: Trace;
  readonly random: SeededRandom;
}

/** Runs one history. */
export async function runHistory(options: HistoryOptions): Promise<History> {
  const run = await openRun(options);
  const { world, faults, users, oracle, effects, figures, trace } = run;
  const workload = writeWorkload(run.random.fork("workload"), world.nodes.length);
  countClasses(workload, figures);
  await advance(world, CALM_MS);
  const untilMs = CALM_MS + ASKING_MS - CALM_DOWN_BEFORE_MS;
  faults.start(planFaults(run.random.fork("faults"), { fromMs: CALM_MS, untilMs, nodeCount: world.nodes.length }));
  users.start(workload);
  await advance(world, untilMs - CALM_MS);
  faults.calmDown();
  await advance(world, CALM_DOWN_BEFORE_MS + LOSSES_AFTER_MS);
  faults.heal();
  const tasks = await untilQuiet(run);
  users.stop();
  await advance(world, AFTERMATH_MS);
  const readings = await readAll(run, tasks);
  for (const { name, machine } of world.nodes) {
    const count = machine.spooledFileCount;
    if (count > 0)
      oracle.add({ taskId: undefined, what: `has ${count} files of output left on ${name} that nobody wants` });
  }
  const violations = oracle.judge({ tasks, readings, followed: users.followed });
  for (const reading of readings) trace.add(describeEnd(reading));
  for (const { state } of tasks) if (isEnded(state)) figures.count(`ended ${state}` as FigureName);
  for (const { attempt } of tasks) if (attempt > 1) figures.count("given again");
  figures.histories = 1;
  figures.tasks = tasks.length;
  figures.attempts = effects.all().length;
  figures.virtualMs = world.clock.monotonicMs();
  for (const { taskId, what } of violations) trace.add(`violation: ${taskId ?? "-"} ${what}`);
  return { seed: options.seed, violations, figures, traceHash: trace.hash(), trace: trace.lines };
}

async function openRun({ seed, broken, isTraced = false }: HistoryOptions): Promise<Run> {
  const random = createSeededRandom(seed).fork("history");
  const figures = createFigures();
  let world: World | undefined;
  const now = (): number => world?.clock.monotonicMs() ?? 0;
  const trace = createTrace(now, isTraced);
  const effects = createEffects(({ taskId, attempt, node }) =>
    trace.add(`start ${taskId} attempt ${attempt} on ${node}`),
  );
  const current = (): World => {
    if (world === undefined) throw new Error("the mesh is not open yet");
    return world;
  };
  const reach = createReach(now);
  const faults = createFaultDriver({ world: current, reach, random: random.fork("fault driver"), figures, trace });
  const tamper = createTamper({
    random: random.fork("tamper"),
    figures,
    replayRatio: faults.replayRatio,
    isAttemptRewritten: broken === "no-attempt-check",
  });
  const nodes = nameNodes(random).map((name) => ({
    name,
    work: workOf({ name, clock: () => current().clock, random: random.fork(`sandbox ${name}`), effects, figures }),
  }));
  world = await openWorld({
    seed,
    ownerId: USER,
    nodes,
    latencyMs: LATENCY_MS,
    ratios: faults.ratios,
    deadlines: { lostAfterMs: LOST_AFTER_MS, reconnectWindowMs: RECONNECT_WINDOW_MS },
    turns: TURNS,
    hooks: {
      ...hooksOf({ faults, reach, figures, trace, nodeNames: nodes.map(({ name }) => name) }),
      ...breaksOf(broken),
      tamper,
    },
  });
  const oracle = createOracle({
    effects,
    reach,
    nowMs: now,
    onCancelInReach: () => figures.count("cancel of a running process in reach"),
  });
  const users = createUsers({
    world,
    figures,
    trace,
    oracle,
    random: random.fork("users"),
    onAccepted: watchAcceptances(world, figures),
  });
  await users.open();
  world.hub.store.sync();
  if (broken === "no-commit-before-ack") syncLazily(world);
  for (const index of world.nodes.keys()) void world.startNode(index);
  return { world, faults, users, oracle, effects, figures, trace, random };
}

interface Watching {
  readonly faults: FaultDriver;
  readonly reach: Reach;
  readonly figures: Figures;
  readonly trace: Trace;
  readonly nodeNames: readonly string[];
}

function hooksOf({ faults, reach, figures, trace, nodeNames }: Watching): WorldHooks {
  const nameOf = (index: number): string => nodeNames[index] ?? "";
  return {
    log: (line) => trace.add(line),
    onHubStep: faults.onHubStep,
    onNodeStep: faults.onNodeStep,
    onFault(kind, stream, index) {
      figures.count(kind);
      if (stream !== "logs") reach.disturbed(nameOf(index), FRAME_FAULT_MS[kind]);
    },
    onReach: (index, what) => noteReach(reach, nameOf(index), what),
    isAnswerLost: faults.isAnswerLost,
  };
}

function breaksOf(broken: Break | undefined): WorldHooks {
  if (broken === "no-dedupe") return { wrapState: forgetAttempts };
  return broken === "no-commit-before-ack" ? { syncEvery: Number.POSITIVE_INFINITY } : {};
}

function noteReach(reach: Reach, node: string, what: NodeReachChange): void {
  if (what === "gone") reach.died(node);
  else reach.setOnline(node, what === "online");
}

/** What a user has in the end: two runs of one seed give the same. */
function describeEnd({ task, stdout, stderr }: Reading): string {
  const digest = createHash("sha256").update(stdout).update("\0").update(stderr).digest("hex");
  const { taskId, state, attempt, revision, output } = task;
  return `end ${taskId} ${state} attempt ${attempt} revision ${revision} events ${output.lastSeq} output ${digest}`;
}

function nameNodes(random: SeededRandom): readonly string[] {
  const count = MIN_NODES + random.integer(MAX_MORE_NODES);
  return Array.from({ length: count }, (_, index) => `node-${index}`);
}

function workOf(made: {
  readonly name: string;
  readonly clock: () => World["clock"];
  readonly random: SeededRandom;
  readonly effects: Effects;
  readonly figures: Figures;
}): NodeWork {
  const { name: node, clock, random, effects, figures } = made;
  const sandbox = createSandbox({ node, clock, random, effects, onClass: figures.count });
  return {
    skills: [shell()],
    maxTasks: MAX_TASKS,
    preparePlace: ({ workspaceRoot }) => Promise.resolve({ workspacePath: workspaceRoot, cwd: workspaceRoot }),
    drivers: sandbox.drivers,
    sweep: sandbox.sweep,
    onPowerLost: sandbox.losePower,
  };
}

/** Counts the deaths of the hub soon after it took a task: what it says then has to be on disk. */
function watchAcceptances(world: World, figures: Figures): () => void {
  return () => {
    const before = world.hub.store;
    world.clock.setTimer(() => {
      if (world.hub.store !== before) figures.count("hub died after an acceptance");
    }, LAZY_SYNC_MS);
  };
}

/** A hub that acknowledges before it commits: what it said is durable only at the next of these moments. */
function syncLazily({ clock, hub }: World): void {
  const tick = (): void => {
    hub.store.sync();
    clock.setTimer(tick, LAZY_SYNC_MS);
  };
  clock.setTimer(tick, LAZY_SYNC_MS);
}

function countClasses(workload: readonly Submission[], figures: Figures): void {
  for (const { effect, nodeIndex, key, timeoutMs, queueTimeoutMs } of workload) {
    figures.count(effect);
    if (nodeIndex !== undefined) figures.count("pinned");
    if (key !== undefined) figures.count("with a key");
    if (timeoutMs !== undefined) figures.count("with a time limit");
    if (queueTimeoutMs !== undefined) figures.count("with a queue limit");
  }
}

/** Moves time until every task has ended, or for as long as that may take; gives the tasks. */
async function untilQuiet(run: Run): Promise<readonly SeenTask[]> {
  const { world, users, oracle } = run;
  const untilMs = world.clock.monotonicMs() + QUIET_WITHIN_MS;
  for (;;) {
    await advance(world, STEP_MS);
    const isLate = world.clock.monotonicMs() >= untilMs;
    if (!isLate && checkQuiet(restOf(run, [])).length > 0) continue;
    const tasks = await users.list();
    if (!isLate && tasks?.every(({ state }) => isEnded(state)) !== true) continue;
    // A task that is stuck is named by the oracle.
    for (const what of checkQuiet(restOf(run, tasks))) oracle.add({ taskId: undefined, what });
    return tasks ?? [];
  }
}

function restOf({ world, users, effects }: Run, tasks: readonly SeenTask[] | undefined): Rest {
  return {
    openCallCount: users.openCallCount,
    runningCount: effects.alive().length,
    offlineNodes: world.nodes.filter(({ machine }) => !machine.isOnline).map(({ name }) => name),
    isListed: tasks !== undefined,
  };
}

async function readAll({ world, users, oracle }: Run, tasks: readonly SeenTask[]): Promise<readonly Reading[]> {
  const readings: Reading[] = [];
  for (const task of tasks) {
    const { taskId } = task;
    let isOver = false;
    const reading = users.read(task).then(
      (read) => void readings.push(read),
      (error: unknown) => oracle.add({ taskId, what: `cannot be read: ${toCortexError(error).message}` }),
    );
    void reading.finally(() => {
      isOver = true;
    });
    for (let waited = 0; !isOver && waited < READ_STEPS; waited += 1) await advance(world, waited === 0 ? 0 : STEP_MS);
    if (!isOver) oracle.add({ taskId, what: `has ended (${task.state}), and following its events does not` });
  }
  return readings;
}

async function advance({ clock }: World, byMs: number): Promise<void> {
  await clock.advance(byMs);
}
