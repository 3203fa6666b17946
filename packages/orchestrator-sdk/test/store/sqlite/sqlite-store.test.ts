import { closeSync, openSync, statSync, writeFileSync, writeSync } from "node:fs";
import Database from "libsql";
import { afterAll, describe, expect, it } from "vitest";
import { systemScope } from "../../../src/access/scope.js";
import { hubStoreConformance } from "../../../src/conformance/hub-store-conformance.js";
import { insertTask, node, nodeId, request, task } from "../../../src/conformance/sample-records.js";
import { openSqliteStore } from "../../../src/store/sqlite/sqlite-store.js";
import type { HubStore } from "../../../src/store/store.js";
import { openStoreDirectory } from "../../support/open-store-directory.js";

const directory = openStoreDirectory();
afterAll(() => directory.remove());

const fileOf = new WeakMap<HubStore, string>();

async function open(path = directory.newFile()): Promise<HubStore> {
  const store = await openSqliteStore({ path });
  fileOf.set(store, path);
  return store;
}

describe("H1, H4: the SQLite store keeps the contract", () => {
  const reopen = (store: HubStore): Promise<HubStore> => open(directory.crashImage(fileOf.get(store)!));
  for (const c of hubStoreConformance(() => open(), { durable: true, shared: false, reopen }))
    it(`H2: ${c.name}`, c.run);
});

describe("H4: the SQLite file", () => {
  it("is readable by its owner alone, with its log", async () => {
    await using store = await open();
    await store.transaction((tx) => tx.nodes.insert(node(1)));
    const path = fileOf.get(store)!;
    for (const suffix of ["", "-wal"]) expect((statSync(path + suffix).mode & 0o777).toString(8)).toBe("600");
  });

  it("holds everything after a close, and nothing waits in the log", async () => {
    const store = await open();
    await store.transaction((tx) => tx.nodes.insert(node(1)));
    await store.close();
    const path = fileOf.get(store)!;
    expect(statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0).toBe(0);
    await using again = await open(path);
    expect((await again.nodes.get(systemScope, nodeId(1)))?.name).toBe("node 1");
  });

  it("is refused with its name when it is no database, and is left as it was", async () => {
    const path = directory.newFile();
    writeFileSync(path, "this is a letter, not a database. ".repeat(300));
    await expect(open(path)).rejects.toMatchObject({ code: "DATA_CORRUPT", message: expect.stringContaining(path) });
    expect(statSync(path).size).toBe(34 * 300);
  });

  it("is refused with its name when one page is damaged that nothing reads at the start", async () => {
    const store = await open();
    for (let n = 0; n < 40; n++) await insertTask(store, task(n), request({ input: "x".repeat(1500) }));
    await store.close();
    const path = fileOf.get(store)!;
    const lastPageOffset = statSync(path).size - 4096;
    const file = openSync(path, "r+");
    writeSync(file, Buffer.alloc(64, 0x55), 0, 64, lastPageOffset);
    closeSync(file);
    await expect(open(path)).rejects.toMatchObject({ code: "DATA_CORRUPT", message: expect.stringContaining(path) });
  });

  it("is refused when a newer version wrote it", async () => {
    const store = await open();
    await store.close();
    const path = fileOf.get(store)!;
    const database = new Database(path);
    database.exec("insert into kysely_migration values ('9999-later', '2999-01-01')");
    database.close();
    await expect(open(path)).rejects.toMatchObject({
      code: "NOT_SUPPORTED",
      message: expect.stringContaining("9999-later"),
    });
  });
});
