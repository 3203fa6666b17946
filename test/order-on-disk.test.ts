import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { call, followTask, openStage } from "./support/programs.js";
import { broken, hubPromises, nodePromises, readTrace, withoutOneSync } from "./support/system-calls.js";

const CALLS = "trace=fsync,fdatasync,read,write,writev,sendmsg,execve";

/** Traces a running program and everything it starts; resolves when the tracer is attached. */
async function trace({ pid }: { readonly pid: number }, file: string): Promise<{ end(): Promise<void> }> {
  const tracer: ChildProcess = spawn(
    "strace",
    ["-f", "-yy", "-ttt", "-s", "120", "-e", CALLS, "-o", file, "-p", String(pid)],
    {
      stdio: ["ignore", "ignore", "pipe"],
    },
  );
  const exited = once(tracer, "exit");
  let said = "";
  await new Promise<void>((resolve, reject) => {
    tracer.stderr?.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      if (/attached/.test(said)) resolve();
    });
    void exited.then(() => reject(new Error(`strace ended: ${said}`)));
  });
  return {
    async end() {
      tracer.kill("SIGINT");
      await exited;
    },
  };
}

describe("one dispatch, traced", () => {
  it("H4: hub and node sync what they promise before they answer, send, spawn and acknowledge; without any one of these syncs this is red", async (context) => {
    if (process.platform !== "linux") context.skip("strace is only on Linux");
    await using stage = openStage();
    const hub = await stage.hub();
    const node = await stage.node(hub);
    const { sessionId } = await call<{ sessionId: string }>(hub, "POST /sessions", {
      name: "s",
      nodes: [{ nodeId: node.nodeId }],
    });
    const run = async (): Promise<void> => {
      const input = { command: "sleep 0.3; echo hi; sleep 0.3" };
      const { taskId } = await call<{ taskId: string }>(hub, `POST /sessions/${sessionId}/dispatch`, {
        skill: "shell",
        input,
      });
      for await (const _event of followTask(hub, taskId)) continue;
      // The acknowledgement leaves after the end is announced; the node's next heartbeat comes after it.
      const seen = async () =>
        (await call<{ lastSeenAt: string; usage: object }>(hub, `GET /nodes/${node.nodeId}`)).usage;
      const before = JSON.stringify(await seen());
      while (JSON.stringify(await seen()) === before) await new Promise((resolve) => setTimeout(resolve, 50));
    };
    // The first task opens the data connection; the second one is measured, right after a heartbeat.
    await run();
    const directory = await stage.directory();
    const files = { hub: join(directory, "hub.trace"), node: join(directory, "node.trace") };
    const tracers = [await trace(hub, files.hub), await trace(node, files.node)];
    await run();
    for (const tracer of tracers) await tracer.end();

    const port = hub.grpc.split(":").at(-1) ?? "";
    const promises = [
      ...hubPromises(readTrace(await readFile(files.hub, "utf8"), port)),
      ...nodePromises(readTrace(await readFile(files.node, "utf8"), port)),
    ];
    expect(broken(promises)).toEqual([]);
    for (const promise of promises) {
      const mutants = withoutOneSync(promise);
      expect(mutants.length).toBeGreaterThanOrEqual(promise.needs.length);
      for (const mutant of mutants)
        expect(broken([mutant]), `one sync less: ${promise.promise}`).toEqual([promise.promise]);
    }
  });
});
