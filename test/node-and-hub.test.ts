/** A node and a hub of the SDK in one process, over real gRPC and TLS, with their states on disk. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type CortexNode, createNode } from "@cortex-mesh/node-sdk";
import { createHub, type Hub } from "@cortex-mesh/orchestrator-sdk";

const USER = "alice";

let directory = "";
let hub: Hub;
let node: CortexNode;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "cortex-test-"));
  hub = await createHub({ data: join(directory, "hub") });
  node = await openNode();
});
afterEach(async () => {
  await node.close();
  await hub.close();
  await rm(directory, { recursive: true, force: true });
});

function openNode(): Promise<CortexNode> {
  return createNode({ stateDirectory: join(directory, "node"), workspaceRoot: join(directory, "workspaces") });
}

/** Resolves when the node is welcomed the next time. */
function comesOnline(): Promise<void> {
  return new Promise((resolve) => node.on("online", () => resolve()));
}

/** Enrols and starts the node, and gives a session on it whose workspace is `workspaces/w`. */
async function startSession(): Promise<string> {
  const api = hub.as(USER);
  const { nodeId } = await node.enrol((await api.createInvite({})).invite);
  const online = comesOnline();
  await node.start();
  await online;
  return (await api.createSession({ nodes: [{ nodeId, path: "w" }] })).sessionId;
}

async function dispatch(sessionId: string, command: string, options: object = {}): Promise<string> {
  return (await hub.as(USER).dispatch({ sessionId, skill: "shell", input: { command }, ...options })).taskId;
}

/** Follows a task until its output holds `text`. */
async function prints(taskId: string, text: string): Promise<void> {
  let seen = "";
  for await (const { data } of hub.as(USER).followTask({ taskId })) {
    seen += String(data["text"] ?? "");
    if (seen.includes(text)) return;
  }
  throw new Error(`the task ended and has not printed ${text}`);
}

/** The task, after its end. */
async function ended(taskId: string) {
  for await (const _event of hub.as(USER).followTask({ taskId })) continue;
  return hub.as(USER).getTask({ taskId });
}

async function outputOf(taskId: string): Promise<string> {
  const { sizeBytes, read } = await hub.as(USER).readTaskOutput({ taskId, stream: "stdout" });
  const pieces: Uint8Array[] = [];
  for await (const piece of read(0, sizeBytes)) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

/** A command that prints numbers, waits for the file `go` and prints the rest. */
const TWO_HALVES = "seq 1 20000; echo half; until [ -e go ]; do read -t 0.02 <> <(:); done; seq 20001 40000";

describe("a node and a hub", () => {
  it("I1: a node that is enrolled takes no other invite", async () => {
    const { nodeId } = await node.enrol((await hub.as(USER).createInvite({})).invite);
    const other = (await hub.as(USER).createInvite({})).invite;
    await expect(node.enrol(other)).rejects.toMatchObject({ code: "STATE_IN_USE", details: { nodeId } });
    expect(node.nodeId).toBe(nodeId);
    expect((await hub.as(USER).listNodes({})).items).toHaveLength(1);
  });

  it("I1: enrolling twice with one invite gives the same node, also after the node was opened again", async () => {
    const { invite } = await hub.as(USER).createInvite({});
    const { nodeId } = await node.enrol(invite);
    expect(await node.enrol(invite)).toEqual({ nodeId });
    await node.close();
    node = await openNode();
    expect(node.nodeId).toBe(nodeId);
    expect(await node.enrol(invite)).toEqual({ nodeId });
    expect((await hub.as(USER).listNodes({})).items).toHaveLength(1);
  });

  it("T8: a task outlives a restart of the hub, and its output is whole", async () => {
    const sessionId = await startSession();
    const taskId = await dispatch(sessionId, TWO_HALVES);
    await prints(taskId, "half");
    const { grpcAddress } = hub;
    const offline = new Promise<void>((resolve) => node.on("offline", () => resolve()));
    await hub.close();
    await offline;
    // The second half is printed while there is no hub.
    await writeFile(join(directory, "workspaces", "w", "go"), "");
    const online = comesOnline();
    hub = await createHub({ data: join(directory, "hub"), grpc: grpcAddress });
    await online;
    expect(await ended(taskId)).toMatchObject({ state: "succeeded", attempt: 1, output: { complete: true } });
    const numbers = (from: number): string => Array.from({ length: 20_000 }, (_, at) => `${from + at}\n`).join("");
    expect(await outputOf(taskId)).toBe(`${numbers(1)}half\n${numbers(20_001)}`);
  });

  it("T7: a drain lets a running task finish and delivers its end", async () => {
    const sessionId = await startSession();
    const taskId = await dispatch(sessionId, TWO_HALVES);
    await prints(taskId, "half");
    const draining = new Promise<void>((resolve) => node.on("draining", () => resolve()));
    const drained = node.drain({ graceMs: 60_000 });
    await draining;
    await writeFile(join(directory, "workspaces", "w", "go"), "");
    await drained;
    expect(await ended(taskId)).toMatchObject({ state: "succeeded", output: { complete: true } });
    await node.close();
    expect(await node.closed).toBeUndefined();
  });

  it("T7: a drain without grace ends a running task and tells the hub before the goodbye", async () => {
    const sessionId = await startSession();
    const taskId = await dispatch(sessionId, TWO_HALVES);
    await prints(taskId, "half");
    await node.drain({ graceMs: 0 });
    expect(await ended(taskId)).toMatchObject({ state: "cancelled", cause: "killed", output: { complete: true } });
  });

  it("E2: a command reaches its own output by name", async () => {
    const sessionId = await startSession();
    const taskId = await dispatch(sessionId, "echo a > /dev/stdout; echo b | tee /dev/stderr > /dev/null");
    expect(await ended(taskId)).toMatchObject({ state: "succeeded", output: { stdoutBytes: 2, stderrBytes: 2 } });
  });

  it("X1: what level none cannot enforce is rejected by name, and what the node enforces itself is taken", async () => {
    const sessionId = await startSession();
    const refused = await dispatch(sessionId, "true", {
      sandbox: { network: { allow: [{ host: "example.com" }] }, limits: { memBytes: 1, pids: 4, outputBytes: 9 } },
    });
    const task = await ended(refused);
    expect(task).toMatchObject({ state: "rejected", cause: "setup_failed", error: { code: "SANDBOX_UNAVAILABLE" } });
    const names = "sandbox.network, sandbox.limits.memBytes, sandbox.limits.pids";
    expect(task.error?.message).toContain(`leave out ${names}`);
    const limited = { sandbox: { level: "none", network: "open", limits: { outputBytes: 1000, wallMs: 60_000 } } };
    expect(await ended(await dispatch(sessionId, "echo fits", limited))).toMatchObject({ state: "succeeded" });
    const noisy = await ended(await dispatch(sessionId, "seq 1 100000", limited));
    expect(noisy).toMatchObject({ state: "failed", cause: "output" });
    const slow = await dispatch(sessionId, "sleep 600", { sandbox: { limits: { wallMs: 50 } } });
    expect(await ended(slow)).toMatchObject({ state: "timed_out", cause: "timeout" });
  });
});
