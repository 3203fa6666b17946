import { afterAll, describe, expect, it } from "vitest";
import { systemScope } from "../../../src/access/scope.js";
import { event, insertTask, node, nodeId, request, task, taskId } from "../../../src/conformance/sample-records.js";
import { createSqlStore } from "../../../src/store/sql/sql-store.js";
import { openSqliteConnection } from "../../../src/store/sqlite/sqlite-connection.js";
import { createSqliteKysely } from "../../../src/store/sqlite/sqlite-dialect.js";
import { createSqliteEngine } from "../../../src/store/sqlite/sqlite-engine.js";
import { openSqliteStore } from "../../../src/store/sqlite/sqlite-store.js";
import { openStoreDirectory } from "../../support/open-store-directory.js";

const directory = openStoreDirectory();
afterAll(() => directory.remove());

/** A store whose file may grow by 50 pages (200 KiB): SQLite reports the limit as it reports a full disk. */
async function openNearlyFull() {
  const path = directory.newFile();
  await (await openSqliteStore({ path })).close();
  const writer = openSqliteConnection(path);
  const reader = openSqliteConnection(path);
  const [size] = writer.rows("pragma page_count");
  writer.exec(`pragma max_page_count = ${Number(size?.["page_count"]) + 50}`);
  return createSqlStore({
    capabilities: { durable: true, shared: false },
    compiler: createSqliteKysely(writer),
    reader,
    engine: createSqliteEngine(writer),
    close: async () => {
      reader.close();
      writer.close();
    },
  });
}

describe("H4: a full disk", () => {
  it("refuses the whole batch that met it, writes nothing of it, and the store goes on", async () => {
    await using store = await openNearlyFull();
    await insertTask(store, task(1));
    const results = await Promise.allSettled([
      store.transaction((tx) => tx.nodes.insert(node(1))),
      insertTask(store, task(2), request({ input: "x".repeat(256 * 1024) })),
      store.transaction((tx) => tx.nodes.insert(node(2))),
    ]);
    expect(results.slice(0, 2).map(codeOf)).toEqual(["STORAGE_FULL", "STORAGE_FULL"]);
    expect(await store.nodes.get(systemScope, nodeId(1))).toBeUndefined();
    expect(await store.tasks.get(systemScope, taskId(2))).toBeUndefined();
    await store.transaction((tx) => tx.events.append(taskId(1), [event(1)]));
    expect((await store.events.output(systemScope, taskId(1)))?.lastSeq).toBe(1);
  });
});

function codeOf(result: PromiseSettledResult<unknown>): string {
  return result.status === "rejected" ? String((result.reason as { code?: unknown }).code) : "done";
}
