import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CortexError } from "@cortex-mesh/protocol";
import { askHub, followHub } from "../src/control-client.js";
import { bindControlSocket } from "../src/control-server.js";

describe("control socket of the hub", () => {
  let directory: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "cortex-control-"));
  });

  afterEach(() => rm(directory, { recursive: true, force: true }));

  it("L3: a second hub on one data directory is refused", async () => {
    const first = await bindControlSocket(directory);
    await expect(bindControlSocket(directory)).rejects.toMatchObject({ code: "STATE_IN_USE" });
    first.serve(async () => ({ value: "still here" }));
    expect(await askHub(directory, { method: "GET", path: "/" })).toEqual({ value: "still here" });
    await first.close();
  });

  it("L3: what a killed hub left does not keep the next one out", async () => {
    const script = `require("net").createServer().listen(process.argv[1], () => process.kill(process.pid, "SIGKILL"))`;
    const killed = spawn(process.execPath, ["-e", script, join(directory, "control.sock")], { stdio: "ignore" });
    await once(killed, "exit");
    expect(existsSync(join(directory, "control.sock"))).toBe(true);
    expect(await askHub(directory, { method: "GET", path: "/" })).toBeUndefined();
    const server = await bindControlSocket(directory);
    expect((await stat(join(directory, "control.sock"))).mode & 0o777).toBe(0o600);
    await server.close();
    expect(existsSync(join(directory, "control.sock"))).toBe(false);
  });

  it("L3: of many that start at once over a dead socket, one gets the directory", async () => {
    const script = `require("net").createServer().listen(process.argv[1], () => process.kill(process.pid, "SIGKILL"))`;
    await once(spawn(process.execPath, ["-e", script, join(directory, "control.sock")], { stdio: "ignore" }), "exit");
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => bindControlSocket(directory)));
    const servers = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    expect(servers).toHaveLength(1);
    await servers[0]?.close();
  });

  it("L3: a hub whose control socket somebody removed still keeps others out", async () => {
    const first = await bindControlSocket(directory);
    await rm(join(directory, "control.sock"));
    await expect(bindControlSocket(directory)).rejects.toMatchObject({ code: "STATE_IN_USE" });
    await first.close();
    const next = await bindControlSocket(directory);
    await next.close();
  });

  it("L3: a question that comes while the hub starts is answered when it has started", async () => {
    const server = await bindControlSocket(directory);
    const asked = askHub(directory, { method: "POST", path: "/users", body: { name: "bob" } });
    const early = askHub(directory, { method: "GET", path: "/early" });
    setImmediate(() => server.serve(async ({ target, body }) => ({ value: { target, body } })));
    expect(await asked).toEqual({ value: { target: "POST /users", body: { name: "bob" } } });
    expect(await early).toEqual({ value: { target: "GET /early" } });
    await server.close();
  });

  it("L3: a refusal arrives with its code", async () => {
    const server = await bindControlSocket(directory);
    server.serve(async () => {
      throw new CortexError("NOT_FOUND", 'there is no user "x"');
    });
    await expect(askHub(directory, { method: "DELETE", path: "/users/x" })).rejects.toMatchObject({
      code: "NOT_FOUND",
      message: 'there is no user "x"',
    });
    await server.close();
  });

  it("H8: lines arrive as they come, and leaving ends what makes them", async () => {
    const server = await bindControlSocket(directory);
    const ended = new Promise<void>((resolve) => {
      server.serve(async ({ signal }) => ({
        lines: (async function* () {
          yield { n: 1 };
          await new Promise((left) => signal.addEventListener("abort", left));
          resolve();
        })(),
      }));
    });
    const lines = await followHub(directory, "/nodes/watch");
    for await (const line of lines ?? []) {
      expect(line).toEqual({ n: 1 });
      break;
    }
    await server.close();
    await ended;
  });

  it("L3: a data directory whose path is longer than a socket's may be works on Linux", async (context) => {
    if (process.platform !== "linux") context.skip("needs /proc/self/fd");
    const deep = join(directory, "d".repeat(100), "e".repeat(60));
    await mkdir(deep, { recursive: true });
    const server = await bindControlSocket(deep);
    await expect(bindControlSocket(deep)).rejects.toMatchObject({ code: "STATE_IN_USE" });
    server.serve(async () => ({ value: 1 }));
    expect(await askHub(deep, { method: "GET", path: "/" })).toEqual({ value: 1 });
    await server.close();
    expect(existsSync(join(deep, "control.sock"))).toBe(false);
  });
});
