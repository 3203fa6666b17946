/** The hub is killed with `kill -9`: what was acknowledged goes on, once, and readers miss nothing. */
import { join } from "node:path";
import { expect, it } from "vitest";
import { dispatchShell, followThrough, keepHub, openSession, type TestTask } from "./support/hub-keeper.js";
import { killHubUnderLoad } from "./support/hub-kills.js";
import { readEffects } from "./support/printing-task.js";
import { type ApiAccess, openStage } from "./support/programs.js";
import { printedRandom } from "./support/seed.js";

it("H4: forty tasks that print outlive five kills of the hub, each whole and once, and readers see each event once", async () => {
  await using stage = openStage();
  const random = printedRandom("hub kills");
  const report = await killHubUnderLoad({ stage, random, kills: 5, tasks: 40, linesAPart: 50 });
  expect(report).toMatchObject({ kills: 5, tasks: 40, lines: 40 * 6 * 50 * 2 });
  // Forty readers connected again after each kill.
  expect(report.resumes).toBe(200);
});

interface Post {
  readonly status: number;
  readonly taskId: string;
}

/** One post; undefined when nothing answered. */
async function post(hub: ApiAccess, path: string, command: string): Promise<Post | undefined> {
  const headers = {
    authorization: `Bearer ${hub.token}`,
    "content-type": "application/json",
    "idempotency-key": "one",
  };
  const body = JSON.stringify({ skill: "shell", input: { command } });
  try {
    const response = await fetch(`${hub.url}/api/v1${path}`, { method: "POST", headers, body });
    const { taskId } = (await response.json()) as TestTask;
    return { status: response.status, taskId };
  } catch {
    // The hub was killed before it answered.
    return undefined;
  }
}

it("E5: 200 posts with one key are one task, also when the hub is killed in the middle of them", async () => {
  await using stage = openStage();
  const keeper = await keepHub(stage);
  const hub = await keeper.up();
  const node = await stage.node(hub);
  const sessionId = await openSession(hub, node.nodeId);
  const path = `/sessions/${sessionId}/dispatch`;
  const command = "echo ran >> effects.log";
  const wave = (count: number): Promise<Post | undefined>[] =>
    Array.from({ length: count }, () => post(hub, path, command));

  const first = wave(100);
  await Promise.race(first);
  const rest = wave(100);
  await keeper.kill();
  const answered = (await Promise.all([...first, ...rest])).filter((each) => each !== undefined);
  expect(answered.length).toBeGreaterThan(0);
  expect(answered.length).toBeLessThan(200);
  await keeper.revive();
  const later = await Promise.all(wave(200));
  const answers = [...answered, ...later];
  const taskId = answers[0]?.taskId ?? "";
  expect(new Set(answers.map((each) => each?.taskId))).toEqual(new Set([taskId]));
  expect(later.map((each) => each?.status)).toEqual(Array.from({ length: 200 }, () => 200));
  expect((await post(hub, path, "echo other"))?.status).toBe(409);

  const { events } = await followThrough(keeper, taskId);
  expect(events.at(-1)?.data).toMatchObject({ state: "succeeded" });
  expect([...(await readEffects(join(node.workspace, "w")))]).toEqual([["ran", 1]]);
});

it("T4: a node is back within 2 s of its hub's restart, and its tasks go on", async () => {
  await using stage = openStage();
  const keeper = await keepHub(stage);
  const node = await stage.node(await keeper.up());
  const sessionId = await openSession(await keeper.up(), node.nodeId);
  await keeper.kill();
  await node.program.event("offline");
  const hub = await keeper.revive();
  const readyAtMs = performance.now();
  await node.program.event("online", 2);
  expect(performance.now() - readyAtMs).toBeLessThan(2_000);
  const taskId = await dispatchShell(hub, { sessionId, command: "echo again" });
  expect((await followThrough(keeper, taskId)).events.at(-1)?.data).toMatchObject({ state: "succeeded" });
});
