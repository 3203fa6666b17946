import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { freshNodeId, isAlive, listMarked, readAll, readNumbers, startProcess } from "../start-process.js";

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "cortex-tree-"));
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

/** Prints its pid, then waits; ignores TERM. */
const STUBBORN = `sh -c 'trap "" TERM; echo $$; while :; do sleep 300; done'`;

describe("a cancel", () => {
  it.each([
    ["a child", "sleep 300 & echo $!; wait", 1],
    ["a grandchild in a pipe", "sh -c 'echo $$; sleep 300' | cat & wait", 0],
    ["a child in a session of its own", "setsid sh -c 'echo $$; exec sleep 300' & wait", 1],
    [
      "a daemon: forked twice, in a session of its own, its parent gone",
      "(setsid sh -c 'echo $$; exec sleep 300' &) ; sleep 300",
      1,
    ],
    ["a child in a group of its own", "set -m; sleep 300 & echo $!; wait", 1],
    ["a child without environment", "env -i sleep 300 & echo $!; wait", 1],
    ["a child without environment, in a session of its own", "setsid env -i sh -c 'echo $$; exec sleep 300' & wait", 1],
  ])("E3: kills %s", async (_, command, printed) => {
    const nodeId = freshNodeId();
    const running = await startProcess(command, { nodeId });
    running.stdout.on("data", () => {});
    const pids = await readNumbers(running.stdout, printed);
    expect(pids.every(isAlive)).toBe(true);
    await running.terminate();
    expect([running.pid, ...pids].filter(isAlive)).toEqual([]);
    expect(listMarked(nodeId)).toEqual([]);
    expect(await running.exited).toMatchObject({ signal: "SIGTERM", survivorCount: 0 });
  });

  it.each([{}, { graceMs: 0 }])(
    "E3: kills a child that only its parent tells of, however late it is looked at: %o",
    async (options) => {
      // The younger ones are looked at first; meanwhile the parent ends.
      const many = "for _ in $(seq 80); do sleep 300 & done; echo 1; wait";
      const running = await startProcess(`setsid env -i sh -c 'echo $$; exec sleep 300' & ${many}`);
      running.stdout.on("data", () => {});
      const pids = (await readNumbers(running.stdout, 2)).filter((pid) => pid > 1);
      expect(pids.every(isAlive)).toBe(true);
      await running.terminate(options);
      expect(pids.filter(isAlive)).toEqual([]);
    },
  );

  it("E3: gives a process its grace to end by itself, and its exit code counts", async () => {
    const running = await startProcess("trap 'echo 2; exit 7' TERM; echo 1; while :; do sleep 0.01; done");
    await readNumbers(running.stdout, 1);
    await running.terminate();
    expect(await running.exited).toMatchObject({ exitCode: 7, signal: null });
  });

  it("E3: lets a child finish its clean-up within the grace though the first process has ended", async () => {
    const path = join(directory, "cleaned");
    const running = await startProcess(
      `sh -c 'trap "sleep 0.2; echo yes > ${path}; exit" TERM; echo 1; while :; do sleep 0.01; done' & wait`,
    );
    await readNumbers(running.stdout, 1);
    await running.terminate();
    expect(await readAll((await startProcess(["cat", path])).stdout)).toEqual(Buffer.from("yes\n"));
  });

  it("E3: kills what ignores TERM after the grace, also in a session of its own", async () => {
    const running = await startProcess(`setsid ${STUBBORN} & exec ${STUBBORN}`);
    const pids = await readNumbers(running.stdout, 2);
    const startedAtMs = performance.now();
    await running.terminate({ graceMs: 300 });
    expect(performance.now() - startedAtMs).toBeGreaterThanOrEqual(290);
    expect(pids.filter(isAlive)).toEqual([]);
    expect(await running.exited).toMatchObject({ signal: "SIGKILL" });
  });

  it("E3: a second cancel with a shorter grace takes effect, a longer one does not", async () => {
    const running = await startProcess(`exec ${STUBBORN}`);
    await readNumbers(running.stdout, 1);
    const startedAtMs = performance.now();
    const first = running.terminate({ graceMs: 60_000 });
    await Promise.all([running.terminate({ graceMs: 0 }), running.terminate({ graceMs: 60_000 }), first]);
    expect(performance.now() - startedAtMs).toBeLessThan(10_000);
    expect(isAlive(running.pid)).toBe(false);
  });

  it("E3: a grace of 0 sends no TERM", async () => {
    const running = await startProcess("trap 'exit 7' TERM; echo 1; while :; do sleep 0.01; done");
    await readNumbers(running.stdout, 1);
    await running.terminate({ graceMs: 0 });
    expect(await running.exited).toMatchObject({ signal: "SIGKILL" });
  });

  it("E3: reaches a stopped process within the grace", async () => {
    const running = await startProcess("echo 1; kill -STOP $$; exit 9");
    await readNumbers(running.stdout, 1);
    await running.terminate({ graceMs: 60_000 });
    expect(await running.exited).toMatchObject({ signal: "SIGTERM" });
  });

  it("E3: ends a chain of processes, each of which starts the next in a new session and ends", async () => {
    const nodeId = freshNodeId();
    const script = join(directory, "chain.sh");
    await writeFile(script, `#!/bin/sh\necho $$\nsetsid "$0" &\n`);
    await chmod(script, 0o755);
    const running = await startProcess(`${script} & sleep 300`, { nodeId });
    await readNumbers(running.stdout, 50);
    running.stdout.resume();
    await running.terminate({ graceMs: 50 });
    expect(listMarked(nodeId)).toEqual([]);
    expect(await running.exited).toMatchObject({ survivorCount: 0 });
  });

  it("E3: ends a tree that grows on two branches, each process in a new session, and ignores TERM", async () => {
    const nodeId = freshNodeId();
    const script = join(directory, "grow.sh");
    // The depth bounds it, so that a fault of the kill cannot take the machine of the test with it.
    const grow = 'setsid "$0" $(($1 - 1)) &\nsetsid "$0" $(($1 - 1)) &\n';
    await writeFile(script, `#!/bin/sh\ntrap "" TERM\necho $$\nsleep 0.03\n[ $1 = 0 ] && exit\n${grow}sleep 1\n`);
    await chmod(script, 0o755);
    const running = await startProcess(`${script} 7`, { nodeId });
    await readNumbers(running.stdout, 31);
    running.stdout.resume();
    await running.terminate({ graceMs: 0 });
    expect(listMarked(nodeId)).toEqual([]);
  });

  it("E3: is done only when the last of many processes is gone", async () => {
    const nodeId = freshNodeId();
    const command =
      "for i in 1 2 3 4 5 6 7 8; do setsid sh -c 'echo $$; exec head -c 30M /dev/zero | tail -c 30M | sleep 300' & done; wait";
    const running = await startProcess(command, { nodeId });
    const pids = await readNumbers(running.stdout, 8);
    await running.terminate({ graceMs: 0 });
    expect([running.pid, ...pids].filter(isAlive)).toEqual([]);
    expect(listMarked(nodeId)).toEqual([]);
  });

  it("E3: a cancel after the end is harmless, and so is one more", async () => {
    const running = await startProcess("exit 5");
    running.stdout.resume();
    await running.exited;
    await running.terminate();
    await Promise.all([running.terminate(), running.terminate({ graceMs: 0 })]);
    expect(await running.exited).toMatchObject({ exitCode: 5 });
  });

  it("E3: a cancel of one task leaves the others of the same node alone, also another attempt", async () => {
    const nodeId = freshNodeId();
    const [first, second, other] = await Promise.all([
      startProcess("sleep 300 & echo $!; wait", { nodeId }),
      startProcess("sleep 300 & echo $!; wait", { nodeId, attempt: 11 }),
      startProcess("sleep 300 & echo $!; wait", { nodeId, taskId: "task_2" }),
    ]);
    await readNumbers(first.stdout, 1);
    const [kept, alsoKept] = await Promise.all([readNumbers(second.stdout, 1), readNumbers(other.stdout, 1)]);
    await first.terminate({ graceMs: 0 });
    expect([...kept, ...alsoKept].every(isAlive)).toBe(true);
    await Promise.all([second.terminate({ graceMs: 0 }), other.terminate({ graceMs: 0 })]);
  });
});

describe("when the first process ends by itself", () => {
  it.each([
    ["in its group", "sleep 300 & echo $!; exit 3"],
    [
      "in a session of its own",
      "setsid sh -c 'echo $$; exec sleep 300' & while ! test -s out; do sleep 0.01; done; exit 3",
    ],
    ["that ignores TERM", `${STUBBORN} & while ! test -s out; do sleep 0.01; done; exit 3`],
  ])("E3: a process it left %s is killed before the end is told", async (_, command) => {
    const nodeId = freshNodeId();
    const ready = command.replaceAll("echo $$", "echo $$ | tee out").replace("echo $!", "echo $! | tee out");
    const running = await startProcess(ready, { nodeId, cwd: directory });
    const [pid] = await readNumbers(running.stdout, 1);
    expect(await running.exited).toMatchObject({ exitCode: 3, survivorCount: 0 });
    expect(isAlive(pid!)).toBe(false);
    expect(listMarked(nodeId)).toEqual([]);
  });

  it("E3: a chain of processes that it left behind is ended", async () => {
    const nodeId = freshNodeId();
    const script = join(directory, "chain.sh");
    await writeFile(script, `#!/bin/sh\nsetsid "$0" &\n`);
    await chmod(script, 0o755);
    const running = await startProcess(`${script} & sleep 0.2; exit 4`, { nodeId });
    running.stdout.resume();
    expect(await running.exited).toMatchObject({ exitCode: 4, survivorCount: 0 });
    expect(listMarked(nodeId)).toEqual([]);
  });
});
