/** The node is killed with `kill -9`: nothing runs twice that must not, nothing is left running, nothing is forgotten. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { dispatchShell, followThrough, keepHub, openSession, type TestTask } from "./support/hub-keeper.js";
import { killNodeUnderTasks } from "./support/node-kills.js";
import {
  assertGapless,
  expectedOutput,
  letPrint,
  outputIn,
  printingCommand,
  readEffects,
} from "./support/printing-task.js";
import { call, openStage } from "./support/programs.js";
import { printedRandom } from "./support/seed.js";
import { until } from "./support/until.js";

it("E5: of ten tasks under a killed node none runs twice, all end, none leaves a process; repeatable ones run again", async () => {
  await using stage = openStage();
  const random = printedRandom("node kill");
  const hub = await stage.hub();
  const node = await stage.node(hub);
  const { ends, repeats } = await killNodeUnderTasks({
    stage,
    hub,
    node,
    random,
    onceTasks: 10,
    idempotentTasks: 4,
  });
  expect((ends["indeterminate"] ?? 0) + (ends["succeeded"] ?? 0)).toBe(10);
  // At least half of all tasks had begun.
  expect(repeats + (ends["indeterminate"] ?? 0)).toBeGreaterThanOrEqual(7);
});

it("T6: a killed node is seen offline within 15 s", async () => {
  await using stage = openStage();
  const hub = await stage.hub();
  const node = await stage.node(hub);
  node.program.child.kill("SIGKILL");
  const isOffline = async (): Promise<boolean> =>
    (await call<{ status: string }>(hub, `GET /nodes/${node.nodeId}`)).status === "offline";
  expect(await until("the node is offline", isOffline, 15_000)).toBeLessThan(15_000);
});

const PRINTING = { parts: 2, linesAPart: 200, pauseS: 0.001 };

/** Starts tasks that end while there is no hub; gives what is there when all of them have finished. */
async function finishWithoutHub(stage: ReturnType<typeof openStage>) {
  const keeper = await keepHub(stage);
  const hub = await keeper.up();
  const node = await stage.node(hub);
  const workspace = join(node.workspace, "w");
  await mkdir(workspace, { recursive: true });
  const sessionId = await openSession(hub, node.nodeId);
  const names = Array.from({ length: 6 }, (_, index) => `task-${index}`);
  const ids = await Promise.all(
    names.map((name) => dispatchShell(hub, { sessionId, command: printingCommand(name, PRINTING) })),
  );
  await letPrint(workspace, 1);
  await until("every task runs", async () => (await readEffects(workspace)).size === names.length);
  await keeper.kill();
  await node.program.event("offline");
  await letPrint(workspace, 2);
  await until(
    "every task has finished",
    async () => (await readEffects(workspace, "finished.log")).size === names.length,
  );
  return { keeper, node, workspace, names, ids };
}

it("T8: results that wait for a hub outlive a restart of the node, and arrive whole when both are back", async () => {
  await using stage = openStage();
  const { keeper, node, workspace, names, ids } = await finishWithoutHub(stage);
  node.program.child.kill("SIGTERM");
  expect(await node.program.exited).toBe(0);
  stage.startAgain(node);
  const hub = await keeper.revive();
  for (const [index, name] of names.entries()) {
    const { events } = await followThrough(keeper, ids[index] ?? "");
    assertGapless(events);
    expect(outputIn(events, "stdout")).toBe(expectedOutput(name, "out", PRINTING));
    expect(outputIn(events, "stderr")).toBe(expectedOutput(name, "err", PRINTING));
    expect(await call<TestTask>(hub, `GET /tasks/${ids[index]}`)).toMatchObject({ state: "succeeded", attempt: 1 });
  }
  expect([...(await readEffects(workspace)).values()]).toEqual(names.map(() => 1));
});

it("T8: a node killed with its last results on the way to disk loses no task and runs none again", async () => {
  await using stage = openStage();
  const { keeper, node, workspace, names, ids } = await finishWithoutHub(stage);
  node.program.child.kill("SIGKILL");
  await node.program.exited;
  const again = stage.startAgain(node);
  const hub = await keeper.revive();
  await again.program.event("online");
  for (const [index, name] of names.entries()) {
    const { events } = await followThrough(keeper, ids[index] ?? "");
    assertGapless(events);
    const { state, output } = await call<TestTask>(hub, `GET /tasks/${ids[index]}`);
    expect(["succeeded", "indeterminate"]).toContain(state);
    expect(output.complete).toBe(true);
    const whole = expectedOutput(name, "out", PRINTING);
    if (state === "succeeded") expect(outputIn(events, "stdout")).toBe(whole);
    else expect(whole.startsWith(outputIn(events, "stdout"))).toBe(true);
  }
  expect([...(await readEffects(workspace)).values()]).toEqual(names.map(() => 1));
});
