/** SIGTERM to a node: what runs may finish within the grace, what does not is ended and told; a second one does not wait. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { dispatchShell, openSession, type TestTask } from "./support/hub-keeper.js";
import { countMarked } from "./support/processes.js";
import { call, followTask, openStage, readOutput, type Stage } from "./support/programs.js";

/** A node with one task that has printed `began` and waits for the file `go`. */
async function openBusy(stage: Stage, graceMs: number) {
  const mark = `cortex-drain-${process.pid}-${graceMs}`;
  const hub = await stage.hub();
  const node = await stage.node(hub, { env: { CORTEX_NODE_DRAIN_GRACE_MS: String(graceMs) } });
  const workspace = join(node.workspace, "w");
  await mkdir(workspace, { recursive: true });
  const sessionId = await openSession(hub, node.nodeId);
  const wait = `exec 9<> <(:); until [ -e go ]; do read -t 0.02 -u 9; done`;
  const command = `setsid bash -c 'exec -a ${mark} sleep 600' > /dev/null & echo began; ${wait}; echo ended`;
  const taskId = await dispatchShell(hub, { sessionId, command });
  for await (const { event } of followTask(hub, taskId)) if (event === "stdout") break;
  const ended = async (): Promise<TestTask> => {
    for await (const _event of followTask(hub, taskId)) continue;
    return call<TestTask>(hub, `GET /tasks/${taskId}`);
  };
  return { hub, node, mark, taskId, ended, sessionId, letEnd: () => writeFile(join(workspace, "go"), "") };
}

it("T7: SIGTERM lets a running task finish, takes no other, delivers its result and ends with 0", async () => {
  await using stage = openStage();
  const { hub, node, taskId, sessionId, ended, letEnd } = await openBusy(stage, 60_000);
  node.program.child.kill("SIGTERM");
  await node.program.event("draining");
  const late = await dispatchShell(hub, { sessionId, command: "echo late" });
  await letEnd();
  expect(await node.program.exited).toBe(0);
  expect(await ended()).toMatchObject({ state: "succeeded", output: { complete: true } });
  expect((await readOutput(hub, taskId)).toString()).toBe("began\nended\n");
  expect(await call<TestTask>(hub, `GET /tasks/${late}`)).toMatchObject({ state: "queued" });
});

it("T7: a task that outlasts the grace is ended with all its processes and told, and the node ends with 0", async () => {
  await using stage = openStage();
  const { node, mark, ended } = await openBusy(stage, 300);
  node.program.child.kill("SIGTERM");
  expect(await node.program.exited).toBe(0);
  expect(await ended()).toMatchObject({ state: "cancelled", cause: "killed", output: { complete: true } });
  expect(countMarked(mark)).toBe(0);
});

it("T7: a second SIGTERM ends the node at once, with what it runs, and the task's end is told at the next start", async () => {
  await using stage = openStage();
  const { node, mark, ended } = await openBusy(stage, 600_000);
  node.program.child.kill("SIGTERM");
  await node.program.event("draining");
  node.program.child.kill("SIGTERM");
  expect(await node.program.exited).not.toBe(0);
  expect(countMarked(mark)).toBe(0);
  stage.startAgain(node);
  expect((await ended()).state).toMatch(/^(cancelled|indeterminate)$/);
});
