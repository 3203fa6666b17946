/** The network between node and hub stalls and is cut: the node works on, and what waited arrives once and in order. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import {
  dispatchShell,
  followThrough,
  type HubKeeper,
  keepHub,
  openSession,
  type TestTask,
} from "./support/hub-keeper.js";
import { countProgress } from "./support/hub-kills.js";
import {
  assertEffectsOnce,
  assertGapless,
  countLines,
  expectedOutput,
  letPrint,
  outputIn,
  type PrintingPlan,
  printingCommand,
  readEffects,
} from "./support/printing-task.js";
import { call, openStage, type Stage, type TestHub } from "./support/programs.js";
import { printedRandom } from "./support/seed.js";
import { openTcpProxy, type TcpProxy } from "./support/tcp-proxy.js";
import { until } from "./support/until.js";

interface Behind {
  readonly keeper: HubKeeper;
  readonly hub: TestHub;
  readonly nodeId: string;
  readonly sessionId: string;
  readonly workspace: string;
}

/** A hub, and a node that reaches it through the proxy only. */
async function openBehind(stage: Stage, proxy: TcpProxy): Promise<Behind> {
  const keeper = await keepHub(stage, { advertise: proxy.address });
  const hub = await keeper.up();
  proxy.leadTo(hub.grpc);
  const { nodeId, workspace: root } = await stage.node(hub);
  const workspace = join(root, "w");
  await mkdir(workspace, { recursive: true });
  return { keeper, hub, nodeId, workspace, sessionId: await openSession(hub, nodeId) };
}

it("T8: a node works on while its network stalls, is seen offline within 15 s, and delivers once and in order", async () => {
  await using stage = openStage();
  await using proxy = await openTcpProxy();
  const { keeper, hub, nodeId, sessionId, workspace } = await openBehind(stage, proxy);
  const printing: PrintingPlan = { parts: 2, linesAPart: 300, pauseS: 0.002 };
  const names = ["one", "two", "three", "four"];
  const ids = await Promise.all(
    names.map((name) => dispatchShell(hub, { sessionId, command: printingCommand(name, printing) })),
  );
  const progress = countProgress();
  const reading = Promise.all(
    ids.map((taskId) => followThrough(keeper, taskId, (event) => progress.add(countLines(event)))),
  );
  await letPrint(workspace, 1);
  await progress.reaches(names.length * printing.linesAPart);
  proxy.stall();
  await letPrint(workspace, 2);
  const statusOf = async (): Promise<string> => (await call<{ status: string }>(hub, `GET /nodes/${nodeId}`)).status;
  const offlineMs = await until("the node is offline", async () => (await statusOf()) === "offline", 15_000);
  expect(offlineMs).toBeLessThan(15_000);
  expect([...(await readEffects(workspace, "finished.log")).keys()].sort()).toEqual([...names].sort());
  const waiting = await dispatchShell(hub, { sessionId, command: "echo later" });
  expect(await call<TestTask>(hub, `GET /tasks/${ids[0]}`)).toMatchObject({ state: "running", disconnected: true });
  proxy.heal();

  for (const [index, { events }] of (await reading).entries()) {
    const name = names[index] ?? "";
    assertGapless(events);
    expect(outputIn(events, "stdout")).toBe(expectedOutput(name, "out", printing));
    expect(outputIn(events, "stderr")).toBe(expectedOutput(name, "err", printing));
    expect(await call<TestTask>(hub, `GET /tasks/${ids[index]}`)).toMatchObject({ state: "succeeded", attempt: 1 });
  }
  await assertEffectsOnce(workspace, names);
  expect(outputIn((await followThrough(keeper, waiting)).events, "stdout")).toBe("later\n");
});

it("T8: output is whole after the connections were reset again and again in the middle of it", async () => {
  await using stage = openStage();
  await using proxy = await openTcpProxy();
  const random = printedRandom("cuts");
  const { keeper, hub, sessionId, workspace } = await openBehind(stage, proxy);
  const cuts = 6;
  const printing: PrintingPlan = { parts: cuts + 1, linesAPart: 150, pauseS: 0.002 };
  const names = ["one", "two", "three", "four"];
  const ids = await Promise.all(
    names.map((name) => dispatchShell(hub, { sessionId, command: printingCommand(name, printing) })),
  );
  const progress = countProgress();
  const reading = Promise.all(
    ids.map((taskId) => followThrough(keeper, taskId, (event) => progress.add(countLines(event)))),
  );
  reading.catch(progress.fail);
  await letPrint(workspace, 1);
  let ended = 0;
  for (let cut = 1; cut <= cuts; cut += 1) {
    const linesOfPart = names.length * printing.linesAPart * 2;
    await progress.reaches(Math.floor((cut - 1 + 0.05 + 0.9 * random.next()) * linesOfPart));
    ended += proxy.cut();
    await letPrint(workspace, cut + 1);
  }
  // Control and data, each time.
  expect(ended).toBeGreaterThanOrEqual(cuts);
  for (const [index, { events }] of (await reading).entries()) {
    const name = names[index] ?? "";
    assertGapless(events);
    expect(outputIn(events, "stdout")).toBe(expectedOutput(name, "out", printing));
    expect(outputIn(events, "stderr")).toBe(expectedOutput(name, "err", printing));
    expect(await call<TestTask>(hub, `GET /tasks/${ids[index]}`)).toMatchObject({ state: "succeeded", attempt: 1 });
  }
  await assertEffectsOnce(workspace, names);
});
