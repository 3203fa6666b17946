import { describe, expect, it } from "vitest";
import { CortexError } from "@cortex-mesh/protocol";
import type { Executor } from "../../../src/store/sql/executor.js";
import type { EngineTransaction, TransactionEngine } from "../../../src/store/sql/transaction-engine.js";
import { createTransactionQueue } from "../../../src/store/sql/transaction-queue.js";

/** An engine that writes down what it is told, and fails where it is asked to. */
function recordingEngine(limits: { maxBatchCount: number; maxOpenCount?: number; failing?: string }) {
  const steps: string[] = [];
  const step = (name: string) => async (): Promise<void> => {
    steps.push(name);
    if (name === limits.failing) throw new CortexError("STORAGE_FULL", `${name} failed`);
  };
  const executor: Executor = {
    executeQuery: async (query) => {
      steps.push(query.sql);
      return { rows: [] };
    },
  };
  const transaction: EngineTransaction = {
    executor,
    savepoint: step("savepoint"),
    releaseSavepoint: step("release"),
    rollbackToSavepoint: step("undo"),
    commit: step("commit"),
    rollback: step("rollback"),
  };
  const begin = step("begin");
  const engine: TransactionEngine = {
    maxBatchCount: limits.maxBatchCount,
    maxOpenCount: limits.maxOpenCount ?? 1,
    begin: async () => {
      await begin();
      return transaction;
    },
  };
  return { engine, steps };
}

const say = (sql: string) => (executor: Executor) =>
  executor.executeQuery({ sql, parameters: [] } as unknown as Parameters<Executor["executeQuery"]>[0]);

describe("H1: the transaction queue", () => {
  it("commits at once what waits, in the order it came", async () => {
    const { engine, steps } = recordingEngine({ maxBatchCount: 64 });
    const queue = createTransactionQueue({ engine });
    await Promise.all(["a", "b"].map((name) => queue.run(say(name))));
    expect(steps).toEqual(["begin", "savepoint", "a", "release", "savepoint", "b", "release", "commit"]);
  });

  it("commits no more than a batch holds at once", async () => {
    const { engine, steps } = recordingEngine({ maxBatchCount: 3 });
    const queue = createTransactionQueue({ engine });
    await Promise.all(Array.from({ length: 7 }, (_, n) => queue.run(say(`${n}`))));
    expect(steps.filter((step) => step === "commit")).toHaveLength(3);
  });

  it("undoes a work that throws alone, and tells it after the commit", async () => {
    const { engine, steps } = recordingEngine({ maxBatchCount: 64 });
    const queue = createTransactionQueue({ engine });
    const failing = queue.run(async (executor) => {
      await say("bad")(executor);
      throw new Error("stop");
    });
    const told = failing.catch(() => steps.push("told"));
    await Promise.all([told, queue.run(say("good"))]);
    expect(steps).toEqual(["begin", "savepoint", "bad", "undo", "savepoint", "good", "release", "commit", "told"]);
    await expect(failing).rejects.toThrow("stop");
  });

  it("rejects the whole batch when the commit fails, also who was refused on the ground of a neighbour's write", async () => {
    const { engine, steps } = recordingEngine({ maxBatchCount: 64, failing: "commit" });
    const queue = createTransactionQueue({ engine });
    const refused = queue.run(() => Promise.reject(new Error("already there")));
    const results = await Promise.allSettled([queue.run(say("a")), refused]);
    expect(results.map((result) => (result.status === "rejected" ? (result.reason as Error).message : "done"))).toEqual(
      ["commit failed", "commit failed"],
    );
    expect(steps.at(-1)).toBe("rollback");
  });

  it("rejects with what the work met when the database undid everything by itself", async () => {
    const { engine } = recordingEngine({ maxBatchCount: 64, failing: "undo" });
    const queue = createTransactionQueue({ engine });
    const results = await Promise.allSettled([
      queue.run(say("a")),
      queue.run(() => Promise.reject(new Error("the disk is full"))),
    ]);
    expect(results.map((result) => (result.status === "rejected" ? (result.reason as Error).message : "done"))).toEqual(
      ["the disk is full", "the disk is full"],
    );
  });

  it("refuses calls of a work that settled, so that they cannot write into a neighbour's transaction", async () => {
    const { engine, steps } = recordingEngine({ maxBatchCount: 64 });
    const queue = createTransactionQueue({ engine });
    let escaped: Executor | undefined;
    await Promise.all([
      queue.run(async (executor) => void (escaped = executor)),
      queue.run(async (executor) => {
        await expect(say("late")(escaped!)).rejects.toMatchObject({ code: "INTERNAL" });
        await say("mine")(executor);
      }),
    ]);
    expect(steps).not.toContain("late");
    expect(steps).toContain("mine");
  });

  it("refuses what is beyond its bound, and takes new work once it has room", async () => {
    const { engine } = recordingEngine({ maxBatchCount: 1 });
    const queue = createTransactionQueue({ engine, maxQueuedCount: 2 });
    const accepted = [queue.run(say("a")), queue.run(say("b"))];
    await expect(queue.run(say("c"))).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await Promise.all(accepted);
    await queue.run(say("d"));
  });

  it("gives each transaction a commit of its own, several at once, where the database wants that", async () => {
    const { engine, steps } = recordingEngine({ maxBatchCount: 1, maxOpenCount: 2 });
    const queue = createTransactionQueue({ engine });
    await Promise.all(["a", "b", "c"].map((name) => queue.run(say(name))));
    expect(steps.slice(0, 2)).toEqual(["begin", "begin"]);
    expect(steps.filter((step) => step === "commit")).toHaveLength(3);
    expect(steps).not.toContain("savepoint");
  });

  it("gives the event loop a turn between batches", async () => {
    const { engine } = recordingEngine({ maxBatchCount: 64 });
    const queue = createTransactionQueue({ engine });
    let hasTurned = false;
    setImmediate(() => {
      hasTurned = true;
    });
    for (let n = 0; n < 3; n++) await queue.run(say(`${n}`));
    expect(hasTurned).toBe(true);
  });

  it("settles what it accepted before its close resolves, and refuses the rest", async () => {
    const { engine, steps } = recordingEngine({ maxBatchCount: 1 });
    const queue = createTransactionQueue({ engine });
    const accepted = [queue.run(say("a")), queue.run(say("b"))];
    const closing = queue.close().then(() => steps.push("closed"));
    await expect(queue.run(say("c"))).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await Promise.all([...accepted, closing]);
    expect(steps.at(-1)).toBe("closed");
    expect(steps.filter((step) => step === "commit")).toHaveLength(2);
  });
});
