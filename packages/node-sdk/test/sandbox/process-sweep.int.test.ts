import { spawn } from "node:child_process";
import { describe, expect, it } from "vitest";
import { listLineagePids, sweepOnce } from "../../src/sandbox/process-sweep.js";
import { listPids, readEntry } from "../../src/sandbox/process-table.js";
import { sweepMarked } from "../../src/sandbox/process-tree.js";
import { freshNodeId, isAlive, listMarked, readNumbers, startProcess } from "./start-process.js";

const scope = {
  isMarked: () => false,
  sessionIds: new Set<number>(),
  oldestStartTicks: 0,
  protectedPids: listLineagePids(),
};

describe("the sweep of a node that starts", () => {
  it("E3: kills every process that an earlier run of this node left, and none of another node", async () => {
    const [mine, other] = [freshNodeId(), freshNodeId()];
    const left = await startProcess("(setsid sh -c 'echo $$; exec sleep 300' &); sleep 300 & echo $!; wait", {
      nodeId: mine,
    });
    const kept = await startProcess("(setsid sh -c 'echo $$; exec sleep 300' &); sleep 300 & echo $!; wait", {
      nodeId: other,
    });
    const [leftPids, keptPids] = await Promise.all([readNumbers(left.stdout, 2), readNumbers(kept.stdout, 2)]);
    expect(await sweepMarked({ nodeId: mine })).toBe(0);
    expect([left.pid, ...leftPids].filter(isAlive)).toEqual([]);
    expect([kept.pid, ...keptPids].every(isAlive)).toBe(true);
    await kept.terminate({ graceMs: 0 });
    expect(listMarked(other)).toEqual([]);
  });

  it("E3: kills a process that has the marker in somebody else's session, and nothing else of that session", async () => {
    const nodeId = freshNodeId();
    const session = spawn(
      "sh",
      ["-c", `sleep 300 & echo $!; CORTEX_NODE=${nodeId} sleep 300 & echo $!; wait; sleep 300`],
      { detached: true, stdio: ["ignore", "pipe", "ignore"] },
    );
    const [unmarked, marked] = await readNumbers(session.stdout, 2);
    while (!listMarked(nodeId).includes(marked!)) await new Promise(setImmediate);
    await sweepMarked({ nodeId });
    const alive = [session.pid!, unmarked!, marked!].map(isAlive);
    process.kill(-session.pid!, "SIGKILL");
    expect(alive).toEqual([true, true, false]);
  });

  it("E3: finds nothing where nothing was left", async () => {
    expect(await sweepMarked({ nodeId: freshNodeId() })).toBe(0);
  });
});

describe("one pass", () => {
  it("E3: never takes pid 1, this process or one it descends from for a member, whatever they carry", () => {
    const found: number[] = [];
    sweepOnce({ ...scope, isMarked: () => true, pids: [1, process.pid, process.ppid] }, (entry) =>
      found.push(entry.pid),
    );
    expect(found).toEqual([]);
    expect([...listLineagePids()]).toEqual(expect.arrayContaining([process.pid, process.ppid]));
  });

  it("E3: never aims at the group of this process", async () => {
    const child = spawn("sleep", ["300"], { stdio: "ignore" });
    expect(readEntry(child.pid!)?.sessionId).toBe(readEntry(process.pid)?.sessionId);
    const targets: number[] = [];
    // Even where nothing else would tell that the session is not the tree's.
    const careless = { ...scope, isMarked: () => true, protectedPids: new Set<number>(), pids: [child.pid!] };
    sweepOnce(careless, (_, target) => targets.push(target));
    child.kill("SIGKILL");
    expect(targets).toEqual([child.pid]);
  });

  it("E3: passes over ended processes, kernel threads and processes older than the tree", async () => {
    const child = spawn("true", { stdio: "ignore", detached: true });
    // Until this turn ends nobody waits for the child, so it stays a zombie.
    while (readEntry(child.pid!)?.state !== "Z");
    const entries = listPids().flatMap((pid) => readEntry(pid) ?? []);
    const kernelThreads = entries.filter((entry) => entry.isKernelThread).map((entry) => entry.pid);
    const found: number[] = [];
    const take = (entry: { pid: number }): void => void found.push(entry.pid);
    const sessionIds = new Set([child.pid!, 0]);
    sweepOnce({ ...scope, isMarked: () => true, sessionIds, pids: [child.pid!, ...kernelThreads] }, take);
    const old = { oldestStartTicks: Number.MAX_SAFE_INTEGER, pids: listPids() };
    sweepOnce({ ...scope, isMarked: () => true, ...old }, take);
    expect(found).toEqual([]);
  });
});
