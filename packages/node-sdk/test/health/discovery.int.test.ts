import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createCapabilitySource, DISCOVERY_LIMIT_MS, discoverCapabilities } from "../../src/health/capabilities.js";
import { findProgram, findShell } from "../../src/health/find-program.js";
import { MAX_PROBE_OUTPUT_BYTES, runProbe } from "../../src/health/run-probe.js";

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "cortex-health-"));
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

async function addTool(name: string, script: string): Promise<void> {
  await writeFile(join(directory, name), `#!/bin/sh\n${script}\n`);
  await chmod(join(directory, name), 0o755);
}

const env = (path: string): Record<string, string> => ({ PATH: path, LANG: "C" });
const never = new AbortController().signal;

describe("a discovery", () => {
  it("E6: finds this machine: system, processor, memory, disk, Node in its version", async () => {
    const startedAtMs = performance.now();
    const path = `${dirname(process.execPath)}:/usr/bin:/bin`;
    const found = await discoverCapabilities({ workspaceRoot: directory, env: env(path) });
    expect(performance.now() - startedAtMs).toBeLessThan(DISCOVERY_LIMIT_MS + 1000);
    expect(found.os).toMatchObject({ platform: process.platform, arch: process.arch });
    expect(found.cpu.cores).toBeGreaterThan(0);
    expect(found.memory.totalBytes).toBeGreaterThan(64 * 1024 * 1024);
    expect(found.disk.totalBytes).toBeGreaterThanOrEqual(found.disk.freeBytes);
    expect(found.tools["node"]).toBe(process.versions.node);
    expect(found.shell).toMatch(/^(bash|sh)$/);
    expect(found.sandboxes).toEqual(["none"]);
    expect(JSON.parse(JSON.stringify(found))).toEqual(found);
  });

  it("E6: only programs on the task's PATH count, and one that fails is absent", async () => {
    await addTool("git", "echo git version 9.8.7");
    await addTool("java", "echo openjdk version 21 >&2");
    await addTool("docker", "echo Docker version 1.2.3; exit 1");
    await addTool("podman", "echo no number");
    await mkdir(join(directory, "python3"));
    await writeFile(join(directory, "node"), "not executable", { mode: 0o644 });
    await addTool("chromium", "echo Chromium 120.0.1");
    const { tools } = await discoverCapabilities({ workspaceRoot: directory, env: env(directory) });
    expect(tools).toEqual({ chrome: "120.0.1", git: "9.8.7", java: "21" });
  });

  it("E6: a tool sees the environment of a task, not the node's", async () => {
    process.env["NODE_SECRET_FOR_TEST"] = "1.2.3";
    await addTool("git", 'echo "version ${NODE_SECRET_FOR_TEST:-0.0.1}"');
    const { tools } = await discoverCapabilities({ workspaceRoot: directory, env: env(directory) });
    delete process.env["NODE_SECRET_FOR_TEST"];
    expect(tools).toEqual({ git: "0.0.1" });
  });

  it("E6: ends in time although tools hang, keeps what was found, and leaves no process", async () => {
    await addTool("git", "echo git version 9.8.7");
    for (const name of ["java", "npm", "docker", "podman", "python3"]) {
      await addTool(name, `/bin/sleep 300 & echo $! > ${directory}/pid-${name}; wait`);
    }
    const startedAtMs = performance.now();
    const { tools } = await discoverCapabilities({ workspaceRoot: directory, env: env(`${directory}:/bin`) });
    expect(performance.now() - startedAtMs).toBeLessThan(DISCOVERY_LIMIT_MS + 500);
    expect(tools["git"]).toBe("9.8.7");
    expect(tools).not.toHaveProperty("java");
    const pid = Number(await readFile(join(directory, "pid-java"), "utf8"));
    const isGone = (): boolean => {
      try {
        process.kill(pid, 0);
        return false;
      } catch {
        return true;
      }
    };
    while (!isGone()) await new Promise((resolve) => setTimeout(resolve, 5));
  });

  it("E6: a withdrawn discovery gives what it has", async () => {
    await addTool("git", "exec /bin/sleep 300");
    const found = await discoverCapabilities({
      workspaceRoot: directory,
      env: env(directory),
      signal: AbortSignal.timeout(50),
    });
    expect(found.tools).toEqual({});
    expect(found.cpu.cores).toBeGreaterThan(0);
  });

  it("E6: a node has its base at once, the rest after a refresh, and joins one that is under way", async () => {
    await addTool("git", "echo git version 9.8.7");
    const source = createCapabilitySource({
      workspaceRoot: directory,
      env: env(directory),
      sandboxes: ["none", "process"],
    });
    expect(source.current()).toMatchObject({ tools: {}, sandboxes: ["none", "process"] });
    const first = source.refresh();
    expect(source.refresh()).toBe(first);
    expect((await first).tools).toEqual({ git: "9.8.7" });
    expect(source.current()).toBe(await first);
    await rm(join(directory, "git"));
    expect((await source.refresh()).tools).toEqual({});
  });
});

describe("looking for programs", () => {
  it("E6: goes along the PATH, skips relative entries and what is no executable file", async () => {
    await addTool("git", "true");
    expect(findProgram("git", `relative::${directory}:/usr/bin`)).toBe(join(directory, "git"));
    expect(findProgram("git", "")).toBeUndefined();
    expect(findProgram("cortex-no-such", "/usr/bin")).toBeUndefined();
  });

  it("E6: finds a shell also where PATH has none", () => {
    expect(findShell(directory)?.path).toMatch(/^\/(usr\/)?bin\/(bash|sh)$/);
  });
});

describe("a probe", () => {
  it("E6: keeps the beginning of a long answer", async () => {
    const text = await runProbe({
      program: "/bin/sh",
      args: ["-c", "yes | head -c 1000000"],
      env: env("/usr/bin:/bin"),
      signal: never,
    });
    expect(text?.length).toBe(MAX_PROBE_OUTPUT_BYTES);
  });

  it("E6: of a program that is missing says nothing", async () => {
    expect(await runProbe({ program: join(directory, "x"), args: [], env: {}, signal: never })).toBeUndefined();
  });
});
