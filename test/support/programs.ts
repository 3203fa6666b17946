/** A hub and its nodes as a user runs them, the calls of their API, and an end for everything that was started. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { launchProgram, type ProgramName, type StartedProgram } from "./launch-program.js";

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

/** How a hub of a stage is started. */
export interface StageHubOptions {
  /** Address that invites carry, `host:port`. @default the one it listens on */
  readonly advertise?: string;
  /** An earlier hub that ended: its data and its addresses are used again. */
  readonly after?: TestHub;
}

/** How a node of a stage joins. */
export interface StageNodeOptions {
  readonly name?: string;
  /** Environment of the program, for example `CORTEX_NODE_DRAIN_GRACE_MS`. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Everything that one test starts; disposing ends and removes it. */
export interface Stage extends AsyncDisposable {
  directory(): Promise<string>;
  hub(options?: StageHubOptions): Promise<TestHub>;
  node(hub: TestHub, options?: StageNodeOptions): Promise<TestNode>;
  /** Starts a node that ended again, from its state, without waiting for the hub. */
  startAgain(node: TestNode): TestNode;
  /** Adds a user, with the program. */
  user(hub: TestHub, name: string): Promise<ApiAccess>;
}

/** Opens a stage. */
export function openStage(): Stage {
  const programs = new Set<StartedProgram>();
  const directories: string[] = [];
  const start = (name: ProgramName, args: readonly string[], env = {}): StartedProgram => {
    const program = launchProgram(name, args, { env });
    programs.add(program);
    void program.exited.then(() => programs.delete(program));
    return program;
  };
  const stage: Stage = {
    async directory() {
      const path = await mkdtemp(join(tmpdir(), "cortex-test-"));
      directories.push(path);
      return path;
    },
    async hub({ advertise, after } = {}) {
      const data = after?.data ?? (await stage.directory());
      const http = after === undefined ? "127.0.0.1:0" : new URL(after.url).host;
      const addresses = ["--http", http, "--grpc", after?.grpc ?? "127.0.0.1:0"];
      const advertised = advertise === undefined ? [] : ["--advertise", advertise];
      const program = start("cortex-hub", ["serve", "--data", data, ...addresses, ...advertised]);
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
    async node(hub, { name = "a", env = {} } = {}) {
      const { invite } = await call<{ invite: string }>(hub, "POST /nodes/invites", { name });
      const state = await stage.directory();
      const workspace = await stage.directory();
      const args = ["join", invite, "--state", state, "--workspace", workspace, "--name", name];
      const program = start("cortex-node", args, env);
      const online = await program.event("online");
      return { program, pid: program.child.pid ?? 0, nodeId: String(online["nodeId"]), state, workspace };
    },
    startAgain(node) {
      const program = start("cortex-node", ["run", "--state", node.state]);
      return { ...node, program, pid: program.child.pid ?? 0 };
    },
    async user(hub, name) {
      const { token } = await start("cortex-hub", ["user", "add", name, "--data", hub.data]).event("user");
      return { url: hub.url, token: String(token) };
    },
    async [Symbol.asyncDispose]() {
      for (const { child } of [...programs].reverse()) child.kill("SIGTERM");
      const kill = setTimeout(() => programs.forEach(({ child }) => child.kill("SIGKILL")), END_PATIENCE_MS);
      await Promise.all([...programs].map(({ exited }) => exited));
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
export function followTask(access: ApiAccess, taskId: string, after = 0): AsyncGenerator<TaskStreamEvent> {
  return readEvents(access, `/tasks/${taskId}/events?after=${after}`);
}

/** Follows a task from where an earlier reader was, as a browser does that connects again. */
export function resumeTask(access: ApiAccess, taskId: string, lastEventId: string): AsyncGenerator<TaskStreamEvent> {
  return readEvents(access, `/tasks/${taskId}/events`, { "last-event-id": lastEventId });
}

async function* readEvents(
  access: ApiAccess,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): AsyncGenerator<TaskStreamEvent> {
  const response = await fetch(`${access.url}/api/v1${path}`, {
    headers: { authorization: `Bearer ${access.token}`, ...headers },
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  if (!response.ok) throw new Error(`GET ${path}: ${response.status} ${await response.text()}`);
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
