/** What two programs write while they work, fail and end: readable by others than their owner, so without any secret. */
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { decodeInvite } from "@cortex-mesh/protocol";
import { type ApiAccess, call, followTask } from "./support/programs.js";
import { runProgram, startProgram } from "./support/start-program.js";

const ENV = { env: { CORTEX_HUB_LOG_LEVEL: "trace", CORTEX_NODE_LOG_LEVEL: "trace" } };
const ENV_SECRET = "env-value-7h1s1s4s3cr3t";
const JWT = /eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\./;
const PRIVATE_KEY = /PRIVATE KEY/;

/** Files whose purpose is to hold a secret, and for what: the database of a hub has the requests of its users. */
const SECRET_FILES = ["hub/admin.token", "hub/ca/", "node/identity.key"];
const DATABASE = /^hub\/hub\.db/;

interface Line {
  readonly msg: string;
  readonly level: string;
  readonly requestId?: string;
  readonly [name: string]: unknown;
}

function linesOf(text: string): Line[] {
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);
}

function readAll(root: string): Map<string, string> {
  const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(
    files.map(({ parentPath, name }) => {
      const path = join(parentPath, name);
      return [relative(root, path), readFileSync(path, "latin1")];
    }),
  );
}

async function openDirectory(): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), "cortex-logs-"));
  onTestFinished(() => rm(root, { recursive: true, force: true, maxRetries: 5 }));
  return root;
}

function startHub(data: string) {
  return startProgram("cortex-hub", ["serve", "--data", data, "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"], ENV);
}

async function refuse(access: ApiAccess, path: string, init: RequestInit = {}): Promise<Response> {
  const response = await fetch(`${access.url}/api/v1${path}`, {
    ...init,
    headers: { authorization: `Bearer ${access.token}`, ...init.headers },
  });
  expect(response.ok).toBe(false);
  return response;
}

it("L4: neither log nor file has a token, an invite, a private key or a task's environment, at any level", async () => {
  const root = await openDirectory();
  const hub = startHub(join(root, "hub"));
  const url = String((await hub.event("ready"))["http"]);
  const admin: ApiAccess = { url, token: readFileSync(join(root, "hub/admin.token"), "utf8").trim() };
  const added = await runProgram("cortex-hub", ["user", "add", "bob", "--data", join(root, "hub")], ENV);
  const bob: ApiAccess = { url, token: String(added.lines[0]?.["token"]) };
  const { invite } = await call<{ invite: string }>(bob, "POST /nodes/invites", { name: "box" });
  const place = ["--state", join(root, "node"), "--workspace", join(root, "work")];
  const node = startProgram("cortex-node", ["join", invite, ...place], ENV);
  const { nodeId } = await node.event("online");
  const { sessionId } = await call<{ sessionId: string }>(bob, "POST /sessions", { nodes: [{ nodeId }] });
  const run = async (command: object): Promise<string> => {
    const body = { skill: "shell", input: command, env: { TOKEN: ENV_SECRET } };
    const { taskId } = await call<{ taskId: string }>(bob, `POST /sessions/${sessionId}/dispatch`, body);
    for await (const _event of followTask(bob, taskId)) continue;
    return taskId;
  };
  const taskId = await run({ command: `test "$TOKEN" = ${ENV_SECRET.slice(0, 9)}"" || exit 3` });
  await run({ argv: ["/nonexistent/program"] });
  const stranger = { url, token: `${admin.token}x` };
  await refuse(stranger, `/tasks/${taskId}`);
  await refuse(admin, `/tasks/${taskId}`);
  const problem = await refuse(bob, `/sessions/${sessionId}/dispatch`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ skill: "shell", input: { command: "true" }, env: { TOKEN: [ENV_SECRET] } }),
  });
  const spent = await runProgram(
    "cortex-node",
    ["join", invite, "--state", join(root, "other"), ...place.slice(2)],
    ENV,
  );
  expect(spent.status).toBe(77);
  node.child.kill("SIGTERM");
  expect(await node.exited).toBe(0);
  hub.child.kill("SIGTERM");
  expect(await hub.exited).toBe(0);

  const privateKey = readFileSync(join(root, "node/identity.key"), "utf8").split("\n")[1] ?? "";
  const inviteSecret = Buffer.from(decodeInvite(invite).secret);
  const secrets = [
    admin.token,
    bob.token,
    invite,
    privateKey,
    inviteSecret.toString("base64url"),
    inviteSecret.toString("hex"),
  ];
  const logs = new Map([
    ["log of the hub", hub.stderr()],
    ["log of the node", node.stderr()],
    ["output of the node", JSON.stringify(node.lines)],
    ["log of a refused node", spent.stderr],
  ]);
  for (const [name, text] of [...logs, ...readAll(root)]) {
    if (SECRET_FILES.some((path) => name.startsWith(path)) || /^(?:other\/identity\.key|work\/)/.test(name)) continue;
    for (const secret of secrets) expect(text.includes(secret), `${name} has a secret`).toBe(false);
    expect(JWT.test(text), `${name} has a token of a node`).toBe(false);
    if (DATABASE.test(name)) continue;
    expect(text.includes(ENV_SECRET), `${name} has the environment of a task`).toBe(false);
    expect(PRIVATE_KEY.test(text), `${name} has a private key`).toBe(false);
  }

  const hubLines = linesOf(hub.stderr());
  const said = (message: string): Line | undefined => hubLines.find(({ msg }) => msg === message);
  expect(said("a node enrolled")).toMatchObject({ level: "info", nodeId });
  expect(said("a node is online")).toMatchObject({ level: "info", nodeId, epoch: 1 });
  expect(said("a node is offline")).toMatchObject({
    level: "info",
    nodeId,
    epoch: 1,
    code: expect.any(String) as string,
  });
  expect(said("a task was accepted")).toMatchObject({ level: "debug", taskId, sessionId });
  expect(said("a task ended")).toMatchObject({ taskId, nodeId, attempt: 1, state: "failed", cause: "exit" });
  const requestId = problem.headers.get("x-request-id");
  expect(hubLines.find((line) => line.requestId === requestId)).toMatchObject({ operation: "dispatch", status: 400 });
  expect(JSON.stringify(await problem.json())).toContain(requestId);
  const nodeLines = linesOf(node.stderr());
  for (const message of ["the node is enrolled", "the node is online"]) {
    expect(nodeLines.find(({ msg }) => msg === message)).toMatchObject({ level: "info", nodeId });
  }
  expect(nodeLines.find(({ msg }) => msg === "a task ended")).toMatchObject({ taskId, attempt: 1, exitCode: 3 });
});
