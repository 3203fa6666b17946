/** Starts the built programs as a user would, talks to them over HTTP, and ends what it started. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PROGRAMS = {
  hub: join(ROOT, "examples/hub/bin/cortex-hub.js"),
  node: join(ROOT, "examples/node/bin/cortex-node.js"),
} as const;
/** How long anything here may take; a test's own limit is longer. */
const PATIENCE_MS = 60_000;

/** A started program. */
export interface Program {
  readonly child: ChildProcess;
  readonly pid: number;
  /** The next event line of this name on standard output, also one that came already. */
  event(name: string): Promise<Readonly<Record<string, string>>>;
  /** What it wrote to standard error, newest last, bounded. */
  readonly log: () => string;
  readonly exited: Promise<{ readonly code: number | null; readonly signal: string | null }>;
}

/** A hub under test. */
export interface TestHub extends Program {
  readonly data: string;
  readonly url: string;
  readonly grpc: string;
  readonly token: string;
}

/** Everything that one test starts; disposing ends and removes it. */
export interface Stage extends AsyncDisposable {
  directory(): Promise<string>;
  start(name: keyof typeof PROGRAMS, args: readonly string[]): Program;
  hub(options?: { readonly data?: string; readonly http?: string; readonly grpc?: string }): Promise<TestHub>;
  node(hub: TestHub, options?: { readonly name?: string }): Promise<Program & { readonly nodeId: string; readonly state: string; readonly workspace: string }>;
}

/** Opens a stage. */
export function openStage(): Stage {
  const programs: Program[] = [];
  const directories: string[] = [];
  const stage: Stage = {
    async directory() {
      const path = await mkdtemp(join(tmpdir(), "cortex-test-"));
      directories.push(path);
      return path;
    },
    start(name, args) {
      const program = startProgram(PROGRAMS[name], args);
      programs.push(program);
      return program;
    },
    async hub(options = {}) {
      const data = options.data ?? (await stage.directory());
      const { http = "127.0.0.1:0", grpc = "127.0.0.1:0" } = options;
      const program = stage.start("hub", ["serve", "--data", data, "--http", http, "--grpc", grpc]);
      const ready = await program.event("ready");
      const token = (await readFile(join(data, "admin.token"), "utf8")).trim();
      return { ...program, data, url: ready["http"] ?? "", grpc: ready["grpc"] ?? "", token };
    },
    async node(hub, { name = "a" } = {}) {
      const { invite } = await call<{ invite: string }>(hub, "POST", "/nodes/invites", { name });
      const state = await stage.directory();
      const workspace = await stage.directory();
      const program = stage.start("node", ["join", invite, "--state", state, "--workspace", workspace, "--name", name]);
      const online = await program.event("online");
      return { ...program, nodeId: online["nodeId"] ?? "", state, workspace };
    },
    async [Symbol.asyncDispose]() {
      for (const { child } of [...programs].reverse()) child.kill("SIGTERM");
      const kill = setTimeout(() => programs.forEach(({ child }) => child.kill("SIGKILL")), 15_000);
      await Promise.all(programs.map(({ exited }) => exited));
      clearTimeout(kill);
      for (const path of directories) await rm(path, { recursive: true, force: true });
    },
  };
  return stage;
}

/** One call of the HTTP API; anything but a success throws with what the hub said. */
export async function call<T>(hub: TestHub, method: string, path: string, body?: unknown): Promise<T> {
  const response = await fetch(`${hub.url}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${hub.token}`, ...(body === undefined ? {} : { "content-type": "application/json" }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return JSON.parse(text) as T;
}

/** Reads the events of a task until its final state. */
export async function taskEvents(hub: TestHub, taskId: string): Promise<readonly { readonly event: string; readonly data: string }[]> {
  const response = await fetch(`${hub.url}/api/v1/tasks/${taskId}/events?after=0`, {
    headers: { authorization: `Bearer ${hub.token}` },
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  const text = await response.text();
  return text
    .split("\n\n")
    .map((block) => ({ event: /^event: ?(.*)$/m.exec(block)?.[1] ?? "", data: /^data: ?(.*)$/m.exec(block)?.[1] ?? "" }))
    .filter(({ event }) => event !== "");
}

function startProgram(file: string, args: readonly string[]): Program {
  const child = spawn(process.execPath, [file, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const lines: Record<string, string>[] = [];
  let rest = "";
  let log = "";
  let woken = (): void => undefined;
  child.stdout.on("data", (chunk: Buffer) => {
    const parts = (rest + chunk.toString()).split("\n");
    rest = parts.pop() ?? "";
    for (const line of parts) if (line.startsWith("{")) lines.push(JSON.parse(line) as Record<string, string>);
    woken();
  });
  child.stderr.on("data", (chunk: Buffer) => {
    log = (log + chunk.toString()).slice(-20_000);
  });
  const exited = once(child, "exit").then(([code, signal]) => {
    woken();
    return { code: code as number | null, signal: signal as string | null };
  });
  return {
    child,
    pid: child.pid ?? 0,
    exited,
    log: () => log,
    async event(name) {
      const deadline = AbortSignal.timeout(PATIENCE_MS);
      for (;;) {
        const found = lines.find((line) => line["event"] === name);
        if (found !== undefined) return found;
        if (child.exitCode !== null || deadline.aborted) throw new Error(`no event "${name}" from ${file}; its log ends: ${log.slice(-2000)}`);
        await new Promise<void>((resolve) => {
          woken = resolve;
          deadline.addEventListener("abort", () => resolve(), { once: true });
        });
      }
    },
  };
}
