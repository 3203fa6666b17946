/** A hub and its nodes as a user runs them, the calls of their API, and an end for everything that was started. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { launchProgram, type ProgramName, type StartedProgram } from "./start-program.js";

/** How long a stream may stay open here; a test's own limit is shorter. */
const PATIENCE_MS = 120_000;
/** A program that has not ended by then is killed. */
const END_PATIENCE_MS = 15_000;

/** Where to send a call, and as whom. */
export interface ApiAccess {
  readonly url: string;
  readonly token: string;
}

/** A hub under test, as its first user. */
export interface TestHub extends ApiAccess {
  readonly pid: number;
  readonly program: StartedProgram;
  readonly data: string;
  readonly grpc: string;
}

/** A node under test. */
export interface TestNode {
  readonly pid: number;
  readonly program: StartedProgram;
  readonly nodeId: string;
  readonly state: string;
  readonly workspace: string;
}

/** Everything that one test starts; disposing ends and removes it. */
export interface Stage extends AsyncDisposable {
  directory(): Promise<string>;
  hub(): Promise<TestHub>;
  node(hub: TestHub, options?: { readonly name?: string }): Promise<TestNode>;
  /** Adds a user, with the program. */
  user(hub: TestHub, name: string): Promise<ApiAccess>;
}

/** Opens a stage. */
export function openStage(): Stage {
  const programs: StartedProgram[] = [];
  const directories: string[] = [];
  const start = (name: ProgramName, args: readonly string[]): StartedProgram => {
    const program = launchProgram(name, args);
    programs.push(program);
    return program;
  };
  const stage: Stage = {
    async directory() {
      const path = await mkdtemp(join(tmpdir(), "cortex-test-"));
      directories.push(path);
      return path;
    },
    async hub() {
      const data = await stage.directory();
      const program = start("cortex-hub", ["serve", "--data", data, "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]);
      const ready = await program.event("ready");
      const token = (await readFile(join(data, "admin.token"), "utf8")).trim();
      return {
        program,
        pid: Number(ready["pid"]),
        data,
        token,
        url: String(ready["http"]),
        grpc: String(ready["grpc"]),
      };
    },
    async node(hub, { name = "a" } = {}) {
      const { invite } = await call<{ invite: string }>(hub, "POST /nodes/invites", { name });
      const state = await stage.directory();
      const workspace = await stage.directory();
      const program = start("cortex-node", [
        "join",
        invite,
        "--state",
        state,
        "--workspace",
        workspace,
        "--name",
        name,
      ]);
      const online = await program.event("online");
      return { program, pid: program.child.pid ?? 0, nodeId: String(online["nodeId"]), state, workspace };
    },
    async user(hub, name) {
      const { token } = await start("cortex-hub", ["user", "add", name, "--data", hub.data]).event("user");
      return { url: hub.url, token: String(token) };
    },
    async [Symbol.asyncDispose]() {
      for (const { child } of [...programs].reverse()) child.kill("SIGTERM");
      const kill = setTimeout(() => programs.forEach(({ child }) => child.kill("SIGKILL")), END_PATIENCE_MS);
      await Promise.all(programs.map(({ exited }) => exited));
      clearTimeout(kill);
      for (const path of directories) await rm(path, { recursive: true, force: true });
    },
  };
  return stage;
}

/** A method and a path below the base. */
export type ApiRequest = `${"GET" | "POST" | "PUT" | "DELETE"} /${string}`;

/** One call of the HTTP API, with JSON or bytes; anything but a success throws with status and body. */
export async function call<T>(access: ApiAccess, request: ApiRequest, body?: unknown): Promise<T> {
  const response = await send(access, request, body);
  const text = await response.text();
  if (!response.ok) throw new Error(`${request}: ${response.status} ${text}`);
  return JSON.parse(text) as T;
}

/** The output of a task as far as it is there. */
export async function readOutput(
  access: ApiAccess,
  taskId: string,
  { stream = "stdout", range }: { readonly stream?: "stdout" | "stderr"; readonly range?: string } = {},
): Promise<Buffer> {
  const response = await fetch(`${access.url}/api/v1/tasks/${taskId}/output?stream=${stream}`, {
    headers: { authorization: `Bearer ${access.token}`, ...(range === undefined ? {} : { range }) },
  });
  return Buffer.from(await response.arrayBuffer());
}

/** One event of a task's stream. */
export interface TaskStreamEvent {
  readonly id: string;
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
  /** Content of an output event. */
  readonly bytes: Buffer;
}

/** Follows a task over SSE until the hub ends the stream. */
export async function* followTask(access: ApiAccess, taskId: string, after = 0): AsyncGenerator<TaskStreamEvent> {
  const response = await fetch(`${access.url}/api/v1/tasks/${taskId}/events?after=${after}`, {
    headers: { authorization: `Bearer ${access.token}` },
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  let rest = "";
  for await (const text of (response.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + String(text)).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const event = readEvent(block);
      if (event !== undefined) yield event;
    }
  }
}

function readEvent(block: string): TaskStreamEvent | undefined {
  const field = (name: string): string => new RegExp(`^${name}: ?(.*)$`, "m").exec(block)?.[1] ?? "";
  if (field("data") === "") return undefined;
  const data = JSON.parse(field("data")) as TaskStreamEvent["data"];
  const isText = typeof data["text"] === "string";
  const bytes = Buffer.from(String(data["text"] ?? data["base64"] ?? ""), isText ? "utf8" : "base64");
  return { id: field("id"), event: field("event"), data, bytes };
}

function send(access: ApiAccess, request: ApiRequest, body: unknown): Promise<Response> {
  const [method = "", path = ""] = request.split(" ");
  const isBytes = body instanceof Uint8Array;
  const type = isBytes ? "application/octet-stream" : "application/json";
  return fetch(`${access.url}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${access.token}`, ...(body === undefined ? {} : { "content-type": type }) },
    ...(body === undefined ? {} : { body: isBytes ? Buffer.from(body) : JSON.stringify(body) }),
  });
}
