import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "tsup";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "@cortex-mesh/protocol";
import { HeldState, Outcome } from "@cortex-mesh/protocol/gen";
import { sweepMarked } from "../../src/sandbox/process-tree.js";
import { openSqliteState } from "../../src/state/sqlite-state.js";
import { startNode, type TestNode } from "../support/start-node.js";
import { settle, waitUntil } from "../support/wait-until.js";

const PACKAGES = join(import.meta.dirname, "../../..");
/** Below the root, so that the program finds its dependencies. */
const PROGRAMS = join(PACKAGES, "../.cache/test", `killed-node-${process.pid}`);

beforeAll(async () => {
  await build({
    entry: [join(PACKAGES, "node-sdk/test/support/dying-node.ts")],
    outDir: PROGRAMS,
    config: false,
    format: "esm",
    target: "node20",
    dts: false,
    silent: true,
    splitting: false,
    noExternal: [/^@cortex-mesh\//],
    outExtension: () => ({ js: ".mjs" }),
    esbuildPlugins: [
      {
        name: "sources",
        setup(bundler) {
          bundler.onResolve({ filter: /^[^./]/ }, ({ path }) => {
            if (!path.startsWith("@cortex-mesh/")) return { path, external: true };
            const [, workspace = "", ...entry] = path.split("/");
            return { path: join(PACKAGES, workspace, "src", ...entry, "index.ts") };
          });
        },
      },
    ],
  });
});

afterAll(() => rmSync(PROGRAMS, { recursive: true, force: true }));

interface Restarted extends AsyncDisposable {
  readonly node: TestNode;
  /** How often the task did what it does. */
  readonly effects: () => number;
  /** Whether the first process of the task lives. */
  readonly isProcessAlive: () => boolean;
}

/** Lets a node die at a step, and starts the next process over what it left. */
async function dieAndRestart(step: string): Promise<Restarted> {
  const directory = mkdtempSync(join(tmpdir(), "cortex-killed-"));
  const child = spawn(process.execPath, [join(PROGRAMS, "dying-node.mjs"), directory, step], {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, TMPDIR: directory },
  });
  const [exitCode, signal] = (await once(child, "exit")) as [number | null, string | null];
  expect({ exitCode, signal }).toEqual({ exitCode: null, signal: "SIGKILL" });
  const state = openSqliteState(join(directory, "node.db"));
  // The next hub counts its connections anew.
  await state.commit((transaction) => transaction.writeSetting("highest_epoch", "0"));
  const sweep = () => sweepMarked({ nodeId: directory }, systemClock);
  const node = await startNode({ state, sweep, maxTasks: 1 }, { directory: join(directory, "spool") });
  const read = (name: string): string =>
    existsSync(join(directory, name)) ? readFileSync(join(directory, name), "utf8") : "";
  return {
    node,
    effects: () => read("effects").split("\n").length - 1,
    isProcessAlive: () => {
      const path = `/proc/${read("pid").trim()}/cmdline`;
      // One that nobody waited for is there without a command line.
      return existsSync(path) && readFileSync(path, "utf8") !== "";
    },
    async [Symbol.asyncDispose]() {
      await node[Symbol.asyncDispose]();
      await state.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

describe.skipIf(process.platform !== "linux")("a node that is killed with -9", () => {
  it("E5: before a start is durable: nothing is held and nothing ran", async () => {
    await using after = await dieAndRestart("before-started");
    const hub = await after.node.hub.connection(1);
    expect((await hub.heard("hello")).held).toEqual([]);
    expect(after.effects()).toBe(0);
  });

  it("E5: between the durable start and the process: the end is indeterminate, and nothing ran", async () => {
    await using after = await dieAndRestart("after-started");
    const hub = await after.node.hub.connection(1);
    expect((await hub.heard("hello")).held).toMatchObject([{ attempt: 1, state: HeldState.FINISHED }]);
    const response = await hub.heard("response", 1);
    expect(response).toMatchObject({ outcome: Outcome.INDETERMINATE, cause: "node_lost", lastLogSeq: 0n });
    expect(after.effects()).toBe(0);
  });

  it("E5: while a task runs: it ends as lost with its output, leaves no process, and what waited never started", async () => {
    await using after = await dieAndRestart("running");
    const hub = await after.node.hub.connection(1);
    const states = (await hub.heard("hello")).held.map(({ state }) => state);
    expect(states.sort()).toEqual([HeldState.FINISHED, HeldState.NEVER_STARTED].sort());
    expect(await hub.heard("response", 1)).toMatchObject({ outcome: Outcome.INDETERMINATE, cause: "node_lost" });
    await waitUntil(() => after.node.hub.output(1).text === "hello\n", "the output so far");
    expect(after.isProcessAlive()).toBe(false);
    expect(after.effects()).toBe(1);
  });

  it("E5: before a result is durable: the end is indeterminate, the output whole, and nothing runs again", async () => {
    await using after = await dieAndRestart("before-finished");
    const hub = await after.node.hub.connection(1);
    expect(await hub.heard("response", 1)).toMatchObject({ outcome: Outcome.INDETERMINATE, cause: "node_lost" });
    await waitUntil(() => after.node.hub.output(1).text === "hello\n", "the output");
    await settle();
    expect(after.effects()).toBe(1);
  });

  it("T8: between the durable result and its sending: the result and the output arrive, and nothing runs again", async () => {
    await using after = await dieAndRestart("after-finished");
    const hub = await after.node.hub.connection(1);
    expect(await hub.heard("response", 1)).toMatchObject({ outcome: Outcome.SUCCEEDED, exitCode: 0, lastLogSeq: 1n });
    await waitUntil(() => after.node.hub.output(1).text === "hello\n", "the output");
    await settle();
    expect(after.effects()).toBe(1);
  });
});
