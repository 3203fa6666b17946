import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { TaskId } from "@cortex-mesh/protocol";
import { systemScope } from "../../../src/access/scope.js";
import { ALICE } from "../../../src/conformance/sample-records.js";
import { openSqliteStore } from "../../../src/store/sqlite/sqlite-store.js";
import type { HubStore } from "../../../src/store/store.js";
import { bundleProgram, type Program } from "../../support/bundle-program.js";
import { openStoreDirectory } from "../../support/open-store-directory.js";

const ROUNDS = 4;
const ACKNOWLEDGED_BEFORE_KILL = 300;

const directory = openStoreDirectory();
let program: Program;
beforeAll(async () => {
  program = await bundleProgram("./commit-forever.ts");
});
afterAll(() => {
  program.remove();
  directory.remove();
});

it("H4: a kill loses no acknowledged transaction and leaves no half of one", async () => {
  const path = directory.newFile();
  const acknowledged: TaskId[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    acknowledged.push(...(await commitUntilKilled(path)));
    await using store = await openSqliteStore({ path });
    for (const taskId of acknowledged) {
      expect(await store.tasks.get(systemScope, taskId), taskId).toMatchObject({ taskId, state: "queued" });
    }
    await expectWholeTransactions(store);
  }
  expect(acknowledged.length).toBeGreaterThanOrEqual(ROUNDS * ACKNOWLEDGED_BEFORE_KILL);
});

/** Runs the program on the file, kills it in the middle of its work, and gives the ids it acknowledged. */
async function commitUntilKilled(path: string): Promise<TaskId[]> {
  const child = spawn(process.execPath, [program.path, path], { stdio: ["ignore", "pipe", "inherit"] });
  const closed = once(child, "close");
  const ids: TaskId[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    ids.push(line as TaskId);
    if (ids.length === ACKNOWLEDGED_BEFORE_KILL) child.kill("SIGKILL");
  }
  expect(await closed).toEqual([null, "SIGKILL"]);
  return ids;
}

/** Every stored task has its request and its two events, and the feed has one event a task, without gaps. */
async function expectWholeTransactions(store: HubStore): Promise<void> {
  let taskCount = 0;
  for (let after: string | undefined; ; ) {
    const tasks = await store.tasks.list(systemScope, {}, { after, limit: 1000 });
    for (const { taskId } of tasks) {
      expect(await store.tasks.request(systemScope, taskId)).toBeDefined();
      expect((await store.events.output(systemScope, taskId))?.lastSeq).toBe(2);
      expect(await store.events.read(systemScope, taskId, { afterSeq: 0, limit: 10 })).toHaveLength(2);
    }
    taskCount += tasks.length;
    after = tasks.at(-1)?.taskId;
    if (after === undefined) break;
  }
  expect(await store.feed.range(ALICE)).toEqual({ firstSeq: 1, lastSeq: taskCount });
}
