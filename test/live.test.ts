/** What a person sees of a hub and its nodes from outside: live output, replay, exact bytes, ends that are complete, ownership. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { countMarked, residentMib } from "./support/processes.js";
import {
  call,
  followTask,
  openStage,
  readOutput,
  type Stage,
  type TestHub,
  type TestNode,
} from "./support/programs.js";

interface Task {
  readonly taskId: string;
  readonly nodeId: string | null;
  readonly state: string;
  readonly finishedAt: string | null;
  readonly result: { readonly exitCode: number | null } | null;
  readonly output: { readonly stdoutBytes: number; readonly complete: boolean };
}

let stage: Stage;
let hub: TestHub;
let nodes: readonly TestNode[];
let sessionId = "";
beforeAll(async () => {
  stage = openStage();
  hub = await stage.hub();
  nodes = [await stage.node(hub, { name: "a" }), await stage.node(hub, { name: "b" })];
  const attached = nodes.map(({ nodeId }) => ({ nodeId }));
  ({ sessionId } = await call<{ sessionId: string }>(hub, "POST /sessions", { name: "s", nodes: attached }));
});
afterAll(() => stage[Symbol.asyncDispose]());

async function dispatch(command: string, options: object = {}): Promise<string> {
  const body = { skill: "shell", input: { command }, ...options };
  return (await call<Task>(hub, `POST /sessions/${sessionId}/dispatch`, body)).taskId;
}

/** Waits for the final state by following the events. */
async function ended(taskId: string): Promise<Task> {
  for await (const _event of followTask(hub, taskId)) continue;
  return call<Task>(hub, `GET /tasks/${taskId}`);
}

async function run(command: string, options: object = {}): Promise<Task> {
  return ended(await dispatch(command, options));
}

describe("output", () => {
  it("E2: each line is there when it is printed, stderr apart, and a second reader replays from any number", async () => {
    const taskId = await dispatch("for i in 1 2 3; do echo $i; sleep 0.4; done; echo err >&2; exit 7");
    const seen: { readonly seq: number; readonly event: string; readonly text: string; readonly atMs: number }[] = [];
    for await (const { id, event, data } of followTask(hub, taskId)) {
      seen.push({ seq: Number(id), event, text: String(data["text"] ?? ""), atMs: performance.now() });
    }
    const lines = seen.filter(({ event }) => event === "stdout");
    expect(lines.map(({ text }) => text)).toEqual(["1\n", "2\n", "3\n"]);
    expect((lines[2]?.atMs ?? 0) - (lines[0]?.atMs ?? 0)).toBeGreaterThan(500);
    expect(seen.filter(({ event }) => event === "stderr").map(({ text }) => text)).toEqual(["err\n"]);
    expect(seen.map(({ seq }) => seq)).toEqual(seen.map((_, index) => index + 1));
    expect((await ended(taskId)).result?.exitCode).toBe(7);
    for (const from of [0, 2, seen.length - 1]) {
      const again: number[] = [];
      for await (const { id } of followTask(hub, taskId, from)) again.push(Number(id));
      expect(again).toEqual(seen.slice(from).map(({ seq }) => seq));
    }
  });

  it("E2: every byte value arrives as it is, and a range of it as well", async () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, value) => value));
    const octal = [...bytes].map((value) => `\\${value.toString(8).padStart(3, "0")}`).join("");
    const { taskId } = await run(`printf '${octal}'`);
    expect(await readOutput(hub, taskId)).toEqual(bytes);
    expect(await readOutput(hub, taskId, { range: "bytes=250-" })).toEqual(bytes.subarray(250));
  });

  it("T5: 200 MB arrive byte-exact while memory stays flat on both sides and another task is answered", async () => {
    const generate = "seq 1 24000000 | head -c 200000000";
    const expected = execFileSync("sh", ["-c", `${generate} | sha256sum`], { encoding: "utf8" }).slice(0, 64);
    await run("true");
    const pids = [hub.pid, ...nodes.map(({ pid }) => pid)];
    const before = pids.map(residentMib);
    const taskId = await dispatch(generate);
    const growth: number[] = [];
    const quick = run("echo quick", { nodeId: nodes[0]?.nodeId });
    const quickBeganMs = performance.now();
    const quickTook = quick.then(() => performance.now() - quickBeganMs);
    const hash = createHash("sha256");
    let size = 0;
    for await (const { event, bytes } of followTask(hub, taskId)) {
      if (event === "stdout") hash.update(bytes);
      size += bytes.byteLength;
      pids.forEach((pid, index) => growth.push(residentMib(pid) - (before[index] ?? 0)));
    }
    expect(size).toBe(200_000_000);
    expect(hash.digest("hex")).toBe(expected);
    expect(await quickTook).toBeLessThan(5_000);
    expect(Math.max(...growth)).toBeLessThan(150);
    expect((await call<Task>(hub, `GET /tasks/${taskId}`)).output).toMatchObject({
      stdoutBytes: 200_000_000,
      complete: true,
    });
  });

  it("E1: standard input reaches the task and its end ends it", async () => {
    const taskId = await dispatch("cat; echo done", { stdin: true });
    await call(hub, `POST /tasks/${taskId}/input`, Buffer.from("one\n"));
    await call(hub, `POST /tasks/${taskId}/input?eof=1`, Buffer.from("two\n"));
    expect((await ended(taskId)).state).toBe("succeeded");
    expect((await readOutput(hub, taskId)).toString()).toBe("one\ntwo\ndone\n");
  });
});

describe("ends", () => {
  const mark = `cortex-live-${process.pid}`;
  /** Forks, forks again into a session of its own, and ignores TERM in all of them. */
  const stubborn = `trap '' TERM; bash -c 'trap "" TERM; exec -a ${mark} sleep 61' & setsid bash -c '(trap "" TERM; exec -a ${mark} sleep 62) & exec -a ${mark} sleep 63' & wait; sleep 64`;

  it("E3: after a time-out no process of the task is left, whatever it forked", async () => {
    expect((await run(stubborn, { timeoutMs: 500 })).state).toBe("timed_out");
    expect(countMarked(mark)).toBe(0);
  });

  it("E3: after a cancel no process of the task is left, and cancelling again changes nothing", async () => {
    const taskId = await dispatch(stubborn);
    for await (const { event, data } of followTask(hub, taskId)) {
      if (event === "state" && data["state"] === "running") break;
    }
    await call(hub, `POST /tasks/${taskId}/cancel`);
    await call(hub, `POST /tasks/${taskId}/cancel`);
    const task = await ended(taskId);
    expect(task.state).toBe("cancelled");
    expect(countMarked(mark)).toBe(0);
    expect(await call<Task>(hub, `POST /tasks/${taskId}/cancel`)).toMatchObject({ state: "cancelled" });
  });

  it("I3: the tasks of a node that is revoked end at once, and none of their processes is left", async () => {
    const doomed = await stage.node(hub, { name: "doomed" });
    const attached = [{ nodeId: doomed.nodeId }];
    const own = await call<{ sessionId: string }>(hub, "POST /sessions", { name: "doomed", nodes: attached });
    const body = { skill: "shell", input: { command: `exec -a ${mark}-revoked sleep 61` } };
    const { taskId } = await call<Task>(hub, `POST /sessions/${own.sessionId}/dispatch`, body);
    for await (const { event, data } of followTask(hub, taskId)) {
      if (event === "state" && data["state"] === "running") break;
    }
    await call(hub, `DELETE /nodes/${doomed.nodeId}`);
    expect(await ended(taskId)).toMatchObject({ state: "indeterminate", cause: "node_lost" });
    expect(await doomed.program.exited).toBe(77);
    expect(countMarked(`${mark}-revoked`)).toBe(0);
  });

  it("E6: tools are known when a node comes online for the first time, and tasks are routed by them", async () => {
    expect(await run("true", { requires: { tools: ["node"] }, queueTimeoutMs: 10_000 })).toMatchObject({
      state: "succeeded",
    });
    const { capabilities } = await call<{ capabilities: { memoryBytes: unknown; tools: object } }>(
      hub,
      `GET /nodes/${nodes[0]?.nodeId}`,
    );
    expect(capabilities.memoryBytes).toBeTypeOf("number");
    expect(capabilities.tools).toHaveProperty("node");
  });

  it("E3: a task that waits is cancelled without being started", async () => {
    const taskId = await dispatch("echo never", { requires: { labels: { zone: "nowhere" } } });
    expect(await call<Task>(hub, `POST /tasks/${taskId}/cancel`)).toMatchObject({
      state: "cancelled",
      attempt: 0,
      output: { complete: true },
    });
  });

  it("X1: a sandbox that is asked for and missing fails the task", async () => {
    expect(await run("true", { sandbox: { level: "workspace" } })).toMatchObject({
      state: "rejected",
      error: { code: "SANDBOX_UNAVAILABLE" },
    });
    expect(await run("true", { sandbox: { level: "none" } })).toMatchObject({
      state: "succeeded",
      isolation: { level: "none" },
    });
  });
});

describe("many tasks", () => {
  it("E4: forty tasks side by side all end, on both nodes, each with its own output", async () => {
    const ids = await Promise.all(Array.from({ length: 40 }, (_, index) => dispatch(`echo task ${index}; sleep 0.2`)));
    const tasks = await Promise.all(ids.map(ended));
    expect(tasks.map(({ state }) => state)).toEqual(ids.map(() => "succeeded"));
    for (const [index, id] of ids.entries()) expect((await readOutput(hub, id)).toString()).toBe(`task ${index}\n`);
    expect(new Set(tasks.map(({ nodeId }) => nodeId)).size).toBe(2);
  });

  it("I8: what another user owns is not there, in any call", async () => {
    const bob = await stage.user(hub, "bob");
    const { taskId } = await run("true");
    const nodeId = nodes[0]?.nodeId ?? "";
    const requests = [
      `GET /nodes/${nodeId}`,
      `DELETE /nodes/${nodeId}`,
      `GET /sessions/${sessionId}`,
      `DELETE /sessions/${sessionId}`,
      `GET /tasks/${taskId}`,
      `GET /tasks/${taskId}/events`,
      `GET /tasks/${taskId}/output?stream=stdout`,
      `POST /tasks/${taskId}/cancel`,
    ] as const;
    for (const request of requests) await expect(call(bob, request), request).rejects.toThrow("404");
    const body = { skill: "shell", input: { command: "id" } };
    await expect(call(bob, `POST /sessions/${sessionId}/dispatch`, body)).rejects.toThrow("404");
    expect(await call(bob, "GET /nodes")).toMatchObject({ items: [] });
  });
});
