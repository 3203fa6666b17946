import { afterAll, describe, expect, it } from "vitest";
import { systemScope } from "../../../src/access/scope.js";
import type { TaskState } from "../../../src/store/records.js";
import type { Executor } from "../../../src/store/sql/executor.js";
import { migrate } from "../../../src/store/sql/migrations/migrate.js";
import { prepare } from "../../../src/store/sql/prepared.js";
import { createTaskLists } from "../../../src/store/sql/tables/task-lists.js";
import { openSqliteConnection } from "../../../src/store/sqlite/sqlite-connection.js";
import { createSqliteKysely } from "../../../src/store/sqlite/sqlite-dialect.js";
import type { TaskFilter } from "../../../src/store/store.js";
import { openStoreDirectory } from "../../support/open-store-directory.js";

const directory = openStoreDirectory();
const connection = openSqliteConnection(directory.newFile());
const db = createSqliteKysely(connection);
afterAll(() => {
  connection.close();
  directory.remove();
});

describe("H1: prepared queries", () => {
  it("put each value where its placeholder was, also one that is used twice, and keep constants", async () => {
    const seen: unknown[] = [];
    const executor: Executor = {
      executeQuery: async (query) => {
        seen.push([query.sql, query.parameters]);
        return { rows: [] };
      },
    };
    const get = prepare((p: { id: string; limit: number }) =>
      db
        .selectFrom("nodes")
        .select("doc")
        .where("id", ">", p.id)
        .where("owner_id", "=", "x")
        .where("doc", "=", p.id)
        .limit(p.limit),
    );
    await get(executor, { id: "a", limit: 1 });
    await get(executor, { id: "b", limit: 2 });
    const sql = 'select "doc" from "nodes" where "id" > ? and "owner_id" = ? and "doc" = ? limit ?';
    expect(seen).toEqual([
      [sql, ["a", "x", "a", 1]],
      [sql, ["b", "x", "b", 2]],
    ]);
  });

  it.each([
    { filter: { states: ["queued", "leased"] satisfies TaskState[] }, index: "tasks_live" },
    { filter: { states: ["leased", "running"] satisfies TaskState[], nodeId: "node_1" }, index: "tasks_live_of_node" },
    { filter: { sessionId: "ses_1" }, index: "tasks_of_session" },
  ])("H4: a list of $filter reads $index and sorts nothing", async ({ filter, index }) => {
    await migrate(db, "sqlite");
    const plans: string[] = [];
    const explain: Executor = {
      executeQuery: async (query) => {
        const { rows } = await connection.executeQuery<{ detail: string }>({
          ...query,
          sql: `explain query plan ${query.sql}`,
        });
        plans.push(...rows.map(({ detail }) => detail));
        return { rows: [] };
      },
    };
    await createTaskLists(db)(explain, { scope: systemScope, filter: filter as TaskFilter, page: { limit: 10 } });
    expect(plans.join("; ")).toContain(`USING INDEX ${index} `);
    expect(plans.join("; ")).not.toContain("TEMP B-TREE");
  });
});
