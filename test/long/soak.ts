/**
 * A hub and two nodes at work for a long time: tasks of every end, readers that leave and come back, connections that are cut.
 * Every output is checked, and the programs are watched.
 */
import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { dispatchShell, type TestTask } from "../support/hub-keeper.js";
import { assertGapless, outputIn } from "../support/printing-task.js";
import {
  call,
  followTask,
  openStage,
  resumeTask,
  type TaskStreamEvent,
  type TestHub,
  type TestNode,
} from "../support/programs.js";
import { type SeededRandom, seededRandom } from "../support/seed.js";
import { openTcpProxy } from "../support/tcp-proxy.js";
import { type Checks, say } from "./checks.js";
import { judgeFlatness, startWatch, type WatchedFigures } from "./watch.js";

/** Tasks under way at once. */
const WORKERS = 10;
/** Time between two cuts, in milliseconds: from the first to the second, drawn. */
const CUT_PAUSE_MS = { least: 8_000, most: 20_000 };
const PROGRESS_MS = 30_000;
/** What the hub may keep of a task in its database. */
const MAX_DATABASE_BYTES_A_TASK = 16 * 1024;
/** A journal that is not checkpointed while it is written, and an empty database. */
const JOURNAL_BYTES = 16 * 1024 * 1024;

/** How many of what there were. */
export interface SoakCounts {
  tasks: number;
  succeeded: number;
  failed: number;
  cancelled: number;
  timedOut: number;
  /** Readers that left in the middle and came back. */
  resumes: number;
  /** Connections between nodes and hub that were reset. */
  cuts: number;
  /** How often a node was welcomed again. */
  reconnects: number;
}

/** What a soak gave. */
export interface SoakFigures {
  readonly minutes: number;
  readonly counts: SoakCounts;
  readonly watched: Readonly<Record<string, WatchedFigures>>;
}

interface Soak {
  readonly hub: TestHub;
  readonly sessionId: string;
  readonly counts: SoakCounts;
  readonly endsAtMs: number;
}

/** Runs it and holds it against what must be. */
export async function runSoak(checks: Checks, minutes: number, seed: number): Promise<SoakFigures> {
  await using stage = openStage();
  await using proxy = await openTcpProxy();
  const hub = await stage.hub({ advertise: proxy.address });
  proxy.leadTo(hub.grpc);
  const nodes = [await stage.node(hub, { name: "a" }), await stage.node(hub, { name: "b" })];
  const attached = nodes.map(({ nodeId }) => ({ nodeId }));
  const { sessionId } = await call<{ sessionId: string }>(hub, "POST /sessions", { name: "soak", nodes: attached });
  const counts = { tasks: 0, succeeded: 0, failed: 0, cancelled: 0, timedOut: 0, resumes: 0, cuts: 0, reconnects: 0 };
  const soak: Soak = { hub, sessionId, counts, endsAtMs: performance.now() + minutes * 60_000 };

  const watch = startWatch(watchedOf(hub, nodes));
  const teller = setInterval(() => {
    counts.reconnects = countReconnects(nodes);
    say(`  ${JSON.stringify(counts)}`);
  }, PROGRESS_MS);
  const cutter = cutAgainAndAgain(soak, () => proxy.cut(), seededRandom(seed));
  const work = Array.from({ length: WORKERS }, (_, index) => keepWorking(soak, seededRandom(seed + 1 + index)));
  const outcomes = await Promise.allSettled([...work, cutter]);
  clearInterval(teller);
  const watched = watch.stop();
  for (const outcome of outcomes)
    if (outcome.status === "rejected") await checks.run("soak", () => Promise.reject(outcome.reason));
  counts.reconnects = countReconnects(nodes);
  judge(checks, { counts, watched, nodes, hub });
  return { minutes, counts, watched };
}

function watchedOf(hub: TestHub, nodes: readonly TestNode[]) {
  return [
    { name: "hub", pid: hub.pid, directory: hub.data, database: "hub.db" },
    ...nodes.map(({ pid, state }, index) => ({ name: `node ${index}`, pid, directory: state, database: "node.db" })),
  ];
}

function countReconnects(nodes: readonly TestNode[]): number {
  return nodes.reduce(
    (sum, { program }) => sum + program.lines.filter(({ event }) => event === "online").length - 1,
    0,
  );
}

interface Judged {
  readonly counts: SoakCounts;
  readonly watched: Readonly<Record<string, WatchedFigures>>;
  readonly nodes: readonly TestNode[];
  readonly hub: TestHub;
}

function judge(checks: Checks, { counts, watched, nodes, hub }: Judged): void {
  const ended = [hub, ...nodes].filter(
    ({ program: { child } }) => child.exitCode !== null || child.signalCode !== null,
  );
  checks.add("soak: no program ended by itself", ended.length === 0, `${ended.length} ended`);
  checks.add("soak: every task ended as it must", true, JSON.stringify(counts));
  for (const [name, figures] of Object.entries(watched)) {
    judgeFlatness(checks, name, figures);
    const bytesATask = databaseBytesATask(figures, counts.tasks);
    const figure = `${bytesATask.toFixed(0)} bytes a task, at most ${MAX_DATABASE_BYTES_A_TASK}`;
    checks.add(
      `soak: the database of the ${name} grows with its tasks only`,
      bytesATask <= MAX_DATABASE_BYTES_A_TASK,
      figure,
    );
  }
  checks.happened("connection cut", counts.cuts);
  checks.happened("node reconnected", counts.reconnects);
  checks.happened("reader left and came back", counts.resumes);
  checks.happened("task cancelled", counts.cancelled);
  checks.happened("task timed out", counts.timedOut);
}

/** What a database gained over the soak, its journal beside what is in it anyway, for each task. */
function databaseBytesATask({ databaseBytes }: WatchedFigures, tasks: number): number {
  const lastBytes = databaseBytes.at(-1)?.value ?? 0;
  return Math.max(0, lastBytes - JOURNAL_BYTES) / Math.max(1, tasks);
}

async function cutAgainAndAgain({ counts, endsAtMs }: Soak, cut: () => number, random: SeededRandom): Promise<void> {
  for (;;) {
    const waitMs = random.between(CUT_PAUSE_MS.least, CUT_PAUSE_MS.most);
    // The last stretch is left alone, so that what was cut is back when the programs are looked at.
    if (performance.now() + waitMs + CUT_PAUSE_MS.least > endsAtMs) return;
    await pause(waitMs);
    counts.cuts += cut();
  }
}

async function keepWorking(soak: Soak, random: SeededRandom): Promise<void> {
  while (performance.now() < soak.endsAtMs) {
    await WORK[random.between(0, WORK.length - 1)]?.(soak, random);
    soak.counts.tasks += 1;
  }
}

type Work = (soak: Soak, random: SeededRandom) => Promise<void>;

const WORK: readonly Work[] = [printNumbers, printNumbers, printNumbers, endBadly, beCancelled, runOutOfTime];

/** Prints on both streams, with a reader that leaves once in the middle. */
async function printNumbers(soak: Soak, random: SeededRandom): Promise<void> {
  const { hub, sessionId, counts } = soak;
  const lines = random.between(10, 20_000);
  const command = `seq ${lines}; seq ${lines} >&2`;
  const taskId = await dispatchShell(hub, { sessionId, command });
  const events: TaskStreamEvent[] = [];
  const leavesAt = random.between(1, 6);
  for await (const event of followTask(hub, taskId)) {
    events.push(event);
    if (events.length === leavesAt) break;
  }
  if (isUnderWay(events)) {
    counts.resumes += 1;
    for await (const event of resumeTask(hub, taskId, events.at(-1)?.id ?? "0")) events.push(event);
  }
  const expected = Array.from({ length: lines }, (_, index) => `${index + 1}\n`).join("");
  assert.equal(await stateOf(hub, taskId), "succeeded", taskId);
  assertGapless(events);
  // Not as a diff: that of a lost megabyte would fill the log.
  assert.ok(outputIn(events, "stdout") === expected, `stdout of ${taskId} is whole`);
  assert.ok(outputIn(events, "stderr") === expected, `stderr of ${taskId} is whole`);
  counts.succeeded += 1;
}

function isUnderWay(events: readonly TaskStreamEvent[]): boolean {
  const state = events.at(-1)?.data["state"];
  return state === undefined || state === "queued" || state === "leased" || state === "running";
}

async function endBadly({ hub, sessionId, counts }: Soak): Promise<void> {
  const taskId = await dispatchShell(hub, { sessionId, command: "echo no >&2; exit 3" });
  for await (const _event of followTask(hub, taskId)) continue;
  assert.equal(await stateOf(hub, taskId), "failed", taskId);
  counts.failed += 1;
}

async function beCancelled({ hub, sessionId, counts }: Soak): Promise<void> {
  const taskId = await dispatchShell(hub, { sessionId, command: "echo began; exec sleep 600" });
  for await (const { event } of followTask(hub, taskId)) if (event === "stdout") break;
  await call(hub, `POST /tasks/${taskId}/cancel`);
  for await (const _event of followTask(hub, taskId)) continue;
  assert.equal(await stateOf(hub, taskId), "cancelled", taskId);
  counts.cancelled += 1;
}

async function runOutOfTime({ hub, sessionId, counts }: Soak): Promise<void> {
  const taskId = await dispatchShell(hub, { sessionId, command: "exec sleep 600", timeoutMs: 200 });
  for await (const _event of followTask(hub, taskId)) continue;
  assert.equal(await stateOf(hub, taskId), "timed_out", taskId);
  counts.timedOut += 1;
}

async function stateOf(hub: TestHub, taskId: string): Promise<string> {
  return (await call<TestTask>(hub, `GET /tasks/${taskId}`)).state;
}
