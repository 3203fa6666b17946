/**
 * A program for a child process: commits tasks in a loop, 16 at once, and prints the id of each acknowledged one.
 *
 * Its argument is the database file. It never ends by itself.
 */
import { writeSync } from "node:fs";
import type { TaskId } from "@cortex-mesh/protocol";
import { ALICE, event, request, task } from "../../src/conformance/sample-records.js";
import { openSqliteStore } from "../../src/store/sqlite/sqlite-store.js";

const WRITER_COUNT = 16;

const store = await openSqliteStore({ path: String(process.argv[2]) });
const run = `${Date.now()}-${process.pid}`;

async function commitForever(writer: number): Promise<never> {
  for (let n = 0; ; n++) {
    const taskId = `task_${run}-${writer}-${n}` as TaskId;
    await store.transaction(async (tx) => {
      await tx.tasks.insert(task(0, { taskId }), request());
      await tx.events.append(taskId, [event(n), event(n + 1)]);
      await tx.feed.append(ALICE, [{ kind: "task.queued", atMs: n, data: { taskId } }]);
    });
    writeSync(1, `${taskId}\n`);
  }
}

await Promise.all(Array.from({ length: WRITER_COUNT }, (_, writer) => commitForever(writer)));
