import type { CompiledQuery } from "kysely";
import { afterAll, describe, expect, it } from "vitest";
import { openSqliteConnection } from "../../../src/store/sqlite/sqlite-connection.js";
import { openStoreDirectory } from "../../support/open-store-directory.js";

const directory = openStoreDirectory();
afterAll(() => directory.remove());

const query = (sql: string, ...parameters: unknown[]): CompiledQuery<Record<string, unknown>> =>
  ({ sql, parameters }) as unknown as CompiledQuery<Record<string, unknown>>;

function open() {
  const connection = openSqliteConnection(directory.newFile());
  connection.exec("create table t (a, b)");
  return connection;
}

describe("H1: the SQLite connection", () => {
  it.each([
    ["a boolean, on which the driver aborts the process", true],
    ["undefined, which the driver takes for null", undefined],
    ["a fraction", 1.5],
    ["a number beyond the safe integers", 2 ** 53],
    ["a bigint", 1n],
    ["an object", {}],
  ])("refuses %s", async (_name, value) => {
    const connection = open();
    const insert = connection.executeQuery(query("insert into t values (?, ?)", value, null));
    await expect(insert).rejects.toThrow("cannot be stored");
    expect(connection.rows("select * from t")).toEqual([]);
    connection.close();
  });

  it("gives rows without properties of the driver's own, and counts what a write changed", async () => {
    const connection = open();
    const inserted = await connection.executeQuery(query("insert into t values (?, ?), (?, ?)", 1, "x", 2, "y"));
    expect(inserted.numAffectedRows).toBe(2n);
    const returned = await connection.executeQuery(query("update t set a = a + ? where b = ? returning a", 5, "x"));
    expect(returned.rows).toEqual([{ a: 6 }]);
    expect((await connection.executeQuery(query("select a from t where b = ?", "y"))).rows).toEqual([{ a: 2 }]);
    connection.close();
  });

  it("goes on after more different statements than it keeps prepared", async () => {
    const connection = open();
    for (let n = 0; n < 600; n++) {
      expect((await connection.executeQuery(query(`select ? + ${n} as sum`, 1))).rows).toEqual([{ sum: n + 1 }]);
    }
    connection.close();
  });

  it("names the file when the database refuses, and closes twice", () => {
    const connection = open();
    expect(() => connection.exec("nonsense")).toThrow(/INTERNAL|hub-\d+\.db/);
    connection.close();
    connection.close();
  });
});
