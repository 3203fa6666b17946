/** The figures of a hub that works with a real node, read as a collector reads them. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type CortexNode, createNode } from "@cortex-mesh/node-sdk";
import { createHub, type Hub, type HubOptions, operations } from "@cortex-mesh/orchestrator-sdk";
import { type Family, parsePrometheusText } from "./support/prometheus-text.js";

const USER = "alice";
const HEADERS = { authorization: "Bearer alice", "content-type": "application/json" };

let directory = "";
let hub: Hub;
let node: CortexNode;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "cortex-metrics-"));
  hub = await openHub();
  node = await openNode();
});
afterEach(async () => {
  await node.close();
  await hub.close();
  await rm(directory, { recursive: true, force: true });
});

function openHub(options: Partial<HubOptions> = {}): Promise<Hub> {
  return createHub({
    data: join(directory, "hub"),
    http: 0,
    authenticate: (request) =>
      request.headers.get("authorization") === HEADERS.authorization ? { userId: USER } : undefined,
    ...options,
  });
}

function openNode(): Promise<CortexNode> {
  return createNode({ stateDirectory: join(directory, "node"), workspaceRoot: join(directory, "workspaces") });
}

async function goOnline(): Promise<void> {
  const online = new Promise<void>((resolve) => node.on("online", () => resolve()));
  await node.start();
  await online;
}

/** A session on the node, which is enrolled and online. */
async function startSession(): Promise<string> {
  const api = hub.as(USER);
  const { nodeId } = await node.enrol((await api.createInvite({})).invite);
  await goOnline();
  return (await api.createSession({ nodes: [{ nodeId }] })).sessionId;
}

async function run(sessionId: string, command: string, idempotencyKey?: string): Promise<string> {
  const input = { sessionId, skill: "shell", input: { command } };
  const { taskId } = await hub.as(USER).dispatch(idempotencyKey === undefined ? input : { ...input, idempotencyKey });
  for await (const _event of hub.as(USER).followTask({ taskId })) continue;
  return taskId;
}

async function scrape(): Promise<ReadonlyMap<string, Family>> {
  const response = await fetch(`${hub.httpUrl}/metrics`);
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  return parsePrometheusText(await response.text());
}

/** The value of one sample; 0 where there is none yet. */
function valueOf(
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const family = families.get(name) ?? families.get(name.replace(/_(sum|count)$/, ""));
  if (family === undefined) throw new Error(`there is no ${name}`);
  const found = family.samples.find(
    (sample) => sample.name === name && JSON.stringify(sample.labels) === JSON.stringify(labels),
  );
  return found?.value ?? 0;
}

describe("metrics of a hub", () => {
  it("L4: the figures agree with what happened, over HTTP and in the text format of Prometheus", async () => {
    const sessionId = await startSession();
    await run(sessionId, "printf 12345; printf 678 >&2", "first");
    await run(sessionId, "printf 12345; printf 678 >&2", "first");
    await run(sessionId, "exit 3");
    await run(sessionId, "true");
    await fetch(`${hub.httpUrl}/api/v1/nodes`, { headers: HEADERS });
    await fetch(`${hub.httpUrl}/api/v1/nodes`);
    await fetch(`${hub.httpUrl}/nowhere/at/all`);
    const families = await scrape();
    const value = (name: string, labels?: Record<string, string>): number => valueOf(families, name, labels);
    expect(value("cortex_nodes_connected", { status: "online" })).toBe(1);
    expect(value("cortex_node_connections_total")).toBe(1);
    expect(value("cortex_node_reconnects_total")).toBe(0);
    expect(value("cortex_invites_created_total")).toBe(1);
    expect(value("cortex_invites_redeemed_total")).toBe(1);
    expect(value("cortex_node_tokens_issued_total", { purpose: "connect" })).toBe(1);
    expect(value("cortex_task_dispatches_total")).toBe(3);
    expect(value("cortex_task_dispatch_repeats_total")).toBe(1);
    expect(value("cortex_tasks_settled_total", { state: "succeeded", cause: "exit" })).toBe(2);
    expect(value("cortex_tasks_settled_total", { state: "failed", cause: "exit" })).toBe(1);
    for (const state of ["queued", "leased", "running"]) expect(value("cortex_tasks", { state })).toBe(0);
    expect(value("cortex_task_queue_seconds_count")).toBe(3);
    expect(value("cortex_task_run_seconds_count")).toBe(3);
    expect(value("cortex_task_output_bytes_total", { stream: "stdout" })).toBe(5);
    expect(value("cortex_task_output_bytes_total", { stream: "stderr" })).toBe(3);
    expect(value("cortex_http_requests_total", { operation: "listNodes", status: "200" })).toBe(1);
    for (const status of ["401", "404"]) {
      expect(value("cortex_http_requests_total", { operation: "none", status })).toBe(1);
    }
    expect(value("cortex_store_commit_transactions_sum")).toBeGreaterThanOrEqual(
      value("cortex_store_commit_transactions_count"),
    );
    expect(value("cortex_store_commit_seconds_count")).toBeGreaterThan(10);
    expect((await hub.metrics()).text).toContain("cortex_task_dispatches_total 3\n");
  });

  it("L4: a client that follows a task over HTTP is counted while it does", async () => {
    const sessionId = await startSession();
    const { taskId } = await hub.as(USER).dispatch({
      sessionId,
      skill: "shell",
      input: { command: "read -r _" },
      stdin: true,
    });
    const response = await fetch(`${hub.httpUrl}/api/v1/tasks/${taskId}/events`, { headers: HEADERS });
    expect(valueOf(await scrape(), "cortex_event_readers", { kind: "sse" })).toBe(1);
    const data = (async function* () {})();
    await hub.as(USER).writeTaskInput({ taskId, eof: true, data });
    await response.text();
    expect(valueOf(await scrape(), "cortex_event_readers", { kind: "sse" })).toBe(0);
  });

  it("L4: a node that leaves, returns and is revoked is counted, and so is who is refused", async () => {
    const { invite } = await hub.as(USER).createInvite({});
    await startSession();
    const left = new Promise<void>((resolve) => node.on("stopped", () => resolve()));
    await node.close();
    await left;
    node = await openNode();
    await goOnline();
    let families = await scrape();
    expect(valueOf(families, "cortex_node_reconnects_total")).toBe(1);
    expect(families.get("cortex_node_offline_total")?.samples.reduce((sum, { value }) => sum + value, 0)).toBe(1);
    const ended = node.closed;
    await hub.as(USER).revokeNode({ nodeId: node.nodeId ?? "" });
    await ended;
    families = await scrape();
    expect(valueOf(families, "cortex_node_offline_total", { code: "NODE_REVOKED" })).toBe(1);
    expect(valueOf(families, "cortex_nodes_connected", { status: "online" })).toBe(0);
    await hub.as(USER).revokeInvite({ inviteId: (await hub.as(USER).listInvites({})).items[0]?.inviteId ?? "" });
    const other = await createNode({ stateDirectory: join(directory, "other"), workspaceRoot: directory });
    await expect(other.enrol(invite)).rejects.toMatchObject({ code: "INVITE_REFUSED" });
    await other.close();
    expect(valueOf(await scrape(), "cortex_enrolments_refused_total", { code: "INVITE_REFUSED" })).toBe(1);
  });

  it("L4: no label has a value from outside, whatever is asked and by whom", async () => {
    const sessionId = await startSession();
    const taskId = await run(sessionId, "exit 7");
    for (const path of [`/api/v1/tasks/${taskId}`, "/api/v1/x%22%0ay", "/a".repeat(500)]) {
      await fetch(hub.httpUrl + path, { headers: HEADERS });
      await fetch(hub.httpUrl + path, { headers: HEADERS, method: "PROPFIND" });
    }
    const known = new Set([...Object.keys(operations), "none"]);
    for (const { samples } of (await scrape()).values()) {
      for (const { labels } of samples) {
        const { operation, status, state, cause, code, kind, purpose, stream, reason, version, le, ...others } = labels;
        expect(others).toEqual({});
        if (operation !== undefined) expect(known).toContain(operation);
        for (const value of [status, state, cause, kind, purpose, stream, reason])
          expect(value ?? "").toMatch(/^[a-z0-9_]{0,16}$/);
        expect(code ?? "A").toMatch(/^[A-Z_]{1,24}$/);
        expect(Number(le?.replace("+Inf", "0") ?? 0)).not.toBeNaN();
        expect(version ?? "0").toMatch(/^[0-9a-z.-]+$/);
      }
    }
  });

  it("L4: unfinished tasks of an earlier hub are counted again, and end in the same figures", async () => {
    const sessionId = await startSession();
    await node.close();
    await hub.as(USER).dispatch({ sessionId, skill: "shell", input: { command: "true" } });
    await hub.close();
    hub = await openHub();
    expect(valueOf(await scrape(), "cortex_tasks", { state: "queued" })).toBe(1);
    await hub.as(USER).deleteSession({ sessionId });
    expect(valueOf(await scrape(), "cortex_tasks", { state: "queued" })).toBe(0);
  });

  it("L4: two hundred readings leave a task as it was", async () => {
    const sessionId = await startSession();
    const [tasks] = await Promise.all([
      Promise.all(Array.from({ length: 5 }, () => run(sessionId, "seq 1 1000"))),
      Promise.all(Array.from({ length: 200 }, () => hub.metrics())),
    ]);
    for (const taskId of tasks) expect(await hub.as(USER).getTask({ taskId })).toMatchObject({ state: "succeeded" });
    const startedAtMs = performance.now();
    for (let count = 0; count < 200; count++) await hub.metrics();
    const perReadingMs = (performance.now() - startedAtMs) / 200;
    expect(perReadingMs).toBeLessThan(25);
  });

  it("L4: a host that wants no figures, or serves them elsewhere, gets that", async () => {
    await node.close();
    await hub.close();
    hub = await openHub({ metrics: { isServed: false } });
    expect((await fetch(`${hub.httpUrl}/metrics`)).status).toBe(404);
    expect((await hub.metrics()).text).toContain("cortex_hub_info");
    await hub.close();
    hub = await openHub({ metrics: false });
    expect((await fetch(`${hub.httpUrl}/metrics`)).status).toBe(404);
    expect((await hub.metrics()).text).toBe("");
  });
});
