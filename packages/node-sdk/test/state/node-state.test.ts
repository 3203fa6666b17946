import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { createMemoryState } from "../../src/state/memory-state.js";
import type { AttemptRecord, NodeState } from "../../src/state/node-state.js";
import { openSqliteState } from "../../src/state/sqlite-state.js";
import { openStateDirectory } from "../../src/state/state-directory.js";

const directories: string[] = [];

function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "cortex-state-"));
  directories.push(directory);
  return directory;
}

afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

function record(taskId: string, fields: Partial<AttemptRecord> = {}): AttemptRecord {
  return {
    taskId,
    attempt: 1,
    state: "stored",
    grantId: "ab",
    startedAtMs: 0,
    response: undefined,
    hasLog: false,
    lastLogSeq: 0,
    changedAtMs: 1_700_000_000_000,
    ...fields,
  };
}

interface Kind {
  readonly name: string;
  /** Opens a state, and gives how the next process opens it. */
  readonly open: () => { readonly state: NodeState; readonly reopen: () => Promise<NodeState> };
}

const KINDS: readonly Kind[] = [
  {
    name: "memory",
    open() {
      const state = createMemoryState();
      return { state, reopen: async () => state.crash() };
    },
  },
  {
    name: "SQLite",
    open() {
      const path = join(temporaryDirectory(), "node.db");
      const state = openSqliteState(path);
      return {
        state,
        async reopen() {
          await state.close();
          return openSqliteState(path);
        },
      };
    },
  },
];

describe("a state on a full disk", () => {
  it("T8: a change that finds no room rejects with STORAGE_FULL, and its neighbours are kept", async () => {
    await using state = openDisposable();
    const full = state.commit(() => {
      throw Object.assign(new Error("database or disk is full"), { code: "SQLITE_FULL" });
    });
    const kept = state.commit((transaction) => transaction.put(record("b")));
    await expect(full).rejects.toMatchObject({ code: "STORAGE_FULL" });
    await kept;
    expect(await state.listOpen()).toHaveLength(1);
  });

  function openDisposable(): NodeState & AsyncDisposable {
    const state = openSqliteState(join(temporaryDirectory(), "node.db"));
    return { ...state, [Symbol.asyncDispose]: () => state.close() };
  }
});

describe.each(KINDS)("a node's state ($name)", ({ open }) => {
  it("T8: what was committed is there for the next process, bytes included", async () => {
    const { state, reopen } = open();
    const response = Uint8Array.from([0, 1, 255]);
    const full = record("a", { state: "finished", response, hasLog: true, lastLogSeq: 7, startedAtMs: 5 });
    await state.commit((transaction) => {
      transaction.put(full);
      transaction.writeSetting("identity", "x");
    });
    const next = await reopen();
    const [found] = await next.listOpen();
    expect(found).toEqual(full);
    expect(await next.commit((transaction) => transaction.findTask("a"))).toEqual(full);
    expect(await next.readSetting("identity")).toBe("x");
    await next.close();
  });

  it("T8: a change that throws leaves nothing behind, and its neighbours are kept", async () => {
    const { state } = open();
    const results = await Promise.allSettled([
      state.commit((transaction) => transaction.put(record("a"))),
      state.commit((transaction) => {
        transaction.put(record("b"));
        throw new Error("no");
      }),
      state.commit((transaction) => {
        transaction.put(record("c"));
        return transaction.findTask("a")?.taskId;
      }),
    ]);
    expect(results.map((result) => result.status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(results[2]).toMatchObject({ value: "a" });
    expect((await state.listOpen()).map(({ taskId }) => taskId)).toEqual(["a", "c"]);
    await state.close();
  });

  it("E5: a task is found by its highest attempt", async () => {
    const { state } = open();
    await state.commit((transaction) => {
      for (const attempt of [2, 10, 1]) transaction.put(record("a", { attempt }));
    });
    expect(await state.commit((transaction) => transaction.findTask("a")?.attempt)).toBe(10);
    expect(await state.commit((transaction) => transaction.findAttempt("a", 2)?.attempt)).toBe(2);
    expect(await state.commit((transaction) => transaction.findTask("b"))).toBeUndefined();
    await state.close();
  });

  it("E5: only what is over and old is forgotten", async () => {
    const { state } = open();
    const kept = [
      record("new", { state: "done", changedAtMs: 100 }),
      record("stored", { changedAtMs: 1 }),
      record("started", { state: "started", changedAtMs: 1 }),
      record("finished", { state: "finished", changedAtMs: 1 }),
      record("log", { state: "done", hasLog: true, changedAtMs: 1 }),
    ];
    const old = [
      record("done", { state: "done", changedAtMs: 1 }),
      record("never", { state: "never_started", changedAtMs: 1 }),
      record("before", { state: "cancelled_before", changedAtMs: 1 }),
    ];
    await state.commit((transaction) => {
      for (const each of [...kept, ...old]) transaction.put(each);
    });
    expect(await state.commit((transaction) => transaction.forgetBefore(100))).toBe(3);
    for (const { taskId } of kept) {
      expect(await state.commit((transaction) => transaction.findTask(taskId)?.taskId)).toBe(taskId);
    }
    await state.close();
  });

  it("T8: a closed state commits what was asked for and refuses the rest", async () => {
    const { state, reopen } = open();
    const last = state.commit((transaction) => transaction.put(record("a")));
    await state.close();
    await state.close();
    await last;
    await expect(state.commit(() => 1)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(await (await reopen()).listOpen()).toHaveLength(1);
  });
});

describe("a state with many large results", () => {
  it("T5: reads none of them for a list before it is looked at", async () => {
    const state = openSqliteState(join(temporaryDirectory(), "node.db"));
    const response = new Uint8Array(256 * 1024).fill(7);
    await state.commit((transaction) => {
      for (let index = 0; index < 60; index += 1) {
        transaction.put(record(`t${index}`, { state: "finished", response }));
      }
    });
    const beforeBytes = process.memoryUsage().arrayBuffers;
    const listed = await state.listOpen();
    expect(listed).toHaveLength(60);
    expect(process.memoryUsage().arrayBuffers - beforeBytes).toBeLessThan(10 * response.byteLength);
    expect(Buffer.compare(listed[50]?.response ?? Buffer.alloc(0), response)).toBe(0);
    await state.close();
    expect(listed[51]?.response).toBeUndefined();
  });
});

describe("a state directory", () => {
  it("I2: keeps its key from one process to the next, and everything in it is private", async () => {
    const path = join(temporaryDirectory(), "state");
    const first = openStateDirectory(path);
    const { keyId } = first.key;
    await first.close();
    const second = openStateDirectory(path);
    expect(second.key.keyId).toBe(keyId);
    expect(statSync(path).mode & 0o777).toBe(0o700);
    for (const file of ["identity.key", "node.db"]) expect(statSync(join(path, file)).mode & 0o777).toBe(0o600);
    await second.close();
    await second.close();
  });

  it("I2: belongs to one process at a time", async () => {
    const path = temporaryDirectory();
    const first = openStateDirectory(path);
    expect(() => openStateDirectory(path)).toThrow(expect.objectContaining({ code: "STATE_IN_USE" }));
    await first.close();
    await openStateDirectory(path).close();
  });

  it("I2: is free again after its process was killed", async () => {
    const path = temporaryDirectory();
    await openStateDirectory(path).close();
    const script = `
      import Database from "libsql";
      new Database(${JSON.stringify(join(path, "lock"))}).exec("begin exclusive");
      process.stdout.write("held");
      setInterval(() => {}, 1000);
    `;
    const holder = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(holder.stdout, "data");
    expect(() => openStateDirectory(path)).toThrow(expect.objectContaining({ code: "STATE_IN_USE" }));
    holder.kill("SIGKILL");
    await once(holder, "exit");
    await openStateDirectory(path).close();
  });

  it("I2: a key file that holds no key is an error that names it", async () => {
    const path = temporaryDirectory();
    await openStateDirectory(path).close();
    writeFileSync(join(path, "identity.key"), "nothing");
    expect(() => openStateDirectory(path)).toThrow(expect.objectContaining({ code: "DATA_CORRUPT" }));
  });
});
