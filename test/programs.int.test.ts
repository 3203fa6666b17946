import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { encodeInvite, systemIds } from "@cortex-mesh/protocol";
import type { Line, StartedProgram } from "./support/launch-program.js";
import { runProgram, startProgram } from "./support/start-program.js";

interface RunningHub {
  readonly program: StartedProgram;
  readonly data: string;
  readonly http: string;
  readonly grpc: string;
  readonly token: string;
}

async function openTempDir(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "cortex-programs-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }));
  return directory;
}

async function startHub(data: string, args: readonly string[] = []): Promise<RunningHub> {
  const program = startProgram("cortex-hub", [
    "serve",
    "--data",
    data,
    "--http",
    "127.0.0.1:0",
    "--grpc",
    "127.0.0.1:0",
    ...args,
  ]);
  const ready = await program.event("ready");
  const token = readFileSync(join(data, "admin.token"), "utf8").trim();
  return { program, data, http: String(ready["http"]), grpc: String(ready["grpc"]), token };
}

/** @param target method and path: `GET /nodes` */
async function call(hub: Pick<RunningHub, "http" | "token">, target: string, body?: unknown): Promise<Line> {
  const [method = "GET", path = "/"] = target.split(" ");
  const response = await fetch(`${hub.http}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${hub.token}`, "content-type": "application/json" },
    body: body === undefined ? null : JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return text === "" ? {} : (JSON.parse(text) as Line);
}

async function createInvite(hub: RunningHub): Promise<string> {
  return String((await call(hub, "POST /nodes/invites", {}))["invite"]);
}

describe("cortex-hub", () => {
  it("L3: says that it is ready in one line, keeps its files private, and SIGTERM ends it with 0", async () => {
    const data = join(await openTempDir(), "data");
    const hub = await startHub(data);
    expect(Object.keys(hub.program.lines[0] ?? {})).toEqual(["event", "http", "grpc", "pid"]);
    expect(hub.program.lines[0]).toMatchObject({ event: "ready", pid: hub.program.child.pid });
    expect(hub.http).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(hub.grpc).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(statSync(join(data, "admin.token")).mode & 0o777).toBe(0o600);
    for (const name of readdirSync(data)) expect(statSync(join(data, name)).mode & 0o077, name).toBe(0);
    hub.program.child.kill("SIGTERM");
    expect(await hub.program.exited).toBe(0);
    expect(hub.program.lines).toHaveLength(1);
  });

  it("L3: a second hub on the data directory ends with 73, and a killed one keeps nobody out", async () => {
    const data = join(await openTempDir(), "data");
    const hub = await startHub(data);
    const second = await runProgram("cortex-hub", [
      "serve",
      "--data",
      data,
      "--http",
      "127.0.0.1:0",
      "--grpc",
      "127.0.0.1:0",
    ]);
    expect(second).toMatchObject({ status: 73, lines: [] });
    expect(second.stderr).toContain(data);
    hub.program.child.kill("SIGKILL");
    await hub.program.exited;
    const next = await startHub(data);
    expect(next.token).toBe(hub.token);
    expect(await call(next, "GET /nodes")).toMatchObject({ items: [] });
  });

  it("I8: users come and go while the hub runs and while it does not", async () => {
    const data = join(await openTempDir(), "data");
    const hub = await startHub(data);
    const added = await runProgram("cortex-hub", ["user", "add", "bob", "--data", data]);
    expect(added.lines).toEqual([{ event: "user", name: "bob", token: expect.stringMatching(/^cxt_/) }]);
    expect(await call({ ...hub, token: String(added.lines[0]?.["token"]) }, "GET /nodes")).toMatchObject({
      items: [],
    });
    await runProgram("cortex-hub", ["user", "remove", "bob", "--data", data]);
    await expect(call({ ...hub, token: String(added.lines[0]?.["token"]) }, "GET /nodes")).rejects.toThrow("401");
    hub.program.child.kill("SIGTERM");
    await hub.program.exited;
    const carl = await runProgram("cortex-hub", ["user", "add", "carl", "--data", data]);
    expect((await runProgram("cortex-hub", ["user", "add", "carl", "--data", data])).status).toBe(1);
    const again = await startHub(data);
    expect(await call({ ...again, token: String(carl.lines[0]?.["token"]) }, "GET /nodes")).toMatchObject({
      items: [],
    });
    const names = (await runProgram("cortex-hub", ["user", "list", "--data", data])).lines.map((line) => line["name"]);
    expect(names).toEqual(["admin", "carl"]);
  });

  it.each([
    [["serve", "--bogus"], 64, "--bogus"],
    [["serve", "--http", "nowhere"], 64, "--http"],
    [["frobnicate"], 64, "frobnicate"],
    [["user", "add"], 64, "name"],
    [["user", "list", "--data", "/nonexistent/cortex"], 1, "/nonexistent/cortex"],
    [["nodes", "--data", "/nonexistent/cortex"], 69, "/nonexistent/cortex"],
    [["serve", "--data", "/proc/cortex"], 73, "/proc/cortex"],
    [["serve", "--config", "/nonexistent/hub.yaml"], 65, "/nonexistent/hub.yaml"],
  ])("L3: %j ends with %i and names what is wrong", async (args, status, named) => {
    const result = await runProgram("cortex-hub", args);
    expect(result).toMatchObject({ status, lines: [] });
    expect(result.stderr).toContain(named);
  });

  it("L3: HTTP beyond loopback without TLS needs an explicit word", async () => {
    const data = join(await openTempDir(), "data");
    const args = ["serve", "--data", data, "--http", "0.0.0.0:0", "--grpc", "127.0.0.1:0"];
    expect((await runProgram("cortex-hub", args)).status).toBe(65);
    const hub = startProgram("cortex-hub", [...args, "--allow-plain-http"]);
    await hub.event("ready");
  });
});

/** An invite of a hub that is not there. */
const UNREACHED = encodeInvite({
  address: "127.0.0.1:1",
  caFingerprint: "0".repeat(64),
  inviteId: systemIds.next("inv"),
  secret: new Uint8Array(32),
});

describe("cortex-node", () => {
  it("L3: joins, tells when it is online, drains on SIGTERM with 0, and runs again with its state alone", async () => {
    const root = await openTempDir();
    const hub = await startHub(join(root, "data"));
    const state = join(root, "state");
    const invite = await createInvite(hub);
    const config = join(root, "node.yaml");
    writeFileSync(config, "node: {labels: {room: attic}}\nlimits: {maxTasks: 3}\nsandbox: {level: none}\n");
    const join1 = [
      "join",
      invite,
      "--state",
      state,
      "--workspace",
      join(root, "ws"),
      "--name",
      "box",
      "--config",
      config,
    ];
    const first = startProgram("cortex-node", join1);
    const online = await first.event("online");
    expect(online).toEqual({ event: "online", nodeId: expect.stringMatching(/^node_/), hub: hub.grpc });
    expect(await call(hub, `GET /nodes/${String(online["nodeId"])}`)).toMatchObject({
      name: "box",
      status: "online",
      maxTasks: 3,
      labels: { room: "attic" },
    });
    first.child.kill("SIGTERM");
    expect(await first.exited).toBe(0);
    expect(first.lines.map((line) => line["event"]).filter((event) => event !== "offline")).toEqual([
      "online",
      "draining",
      "stopped",
    ]);

    const second = startProgram("cortex-node", ["run", "--state", state]);
    expect((await second.event("online"))["nodeId"]).toBe(online["nodeId"]);
    expect(await call(hub, `GET /nodes/${String(online["nodeId"])}`)).toMatchObject({
      maxTasks: 3,
      labels: { room: "attic" },
    });
    const kept = [
      first.stderr(),
      second.stderr(),
      hub.program.stderr(),
      readFileSync(join(state, "settings.json"), "utf8"),
    ];
    for (const text of kept) {
      expect(text).not.toContain(invite);
      expect(text).not.toContain(hub.token);
    }
  });

  it("T4: a hub restart is seen as offline and online again", async () => {
    const root = await openTempDir();
    const hub = await startHub(join(root, "data"));
    const node = startProgram("cortex-node", [
      "join",
      await createInvite(hub),
      "--state",
      join(root, "state"),
      "--workspace",
      join(root, "ws"),
    ]);
    await node.event("online");
    hub.program.child.kill("SIGTERM");
    expect(await hub.program.exited).toBe(0);
    await node.event("offline");
    await startHub(join(root, "data"), ["--grpc", hub.grpc]);
    await node.event("online", 2);
  });

  it("L3: status, drain and leave act on the node of the state directory", async () => {
    const root = await openTempDir();
    const hub = await startHub(join(root, "data"));
    const state = join(root, "state");
    expect((await runProgram("cortex-node", ["status", "--state", state])).status).toBe(69);
    const node = startProgram("cortex-node", [
      "join",
      await createInvite(hub),
      "--state",
      state,
      "--workspace",
      join(root, "ws"),
    ]);
    const { nodeId } = await node.event("online");
    const status = await runProgram("cortex-node", ["status", "--state", state]);
    expect(status).toMatchObject({
      status: 0,
      lines: [{ status: "online", nodeId, hub: hub.grpc, pid: node.child.pid }],
    });
    expect((await runProgram("cortex-hub", ["nodes", "--data", hub.data])).lines).toMatchObject([
      { nodeId, status: "online", owner: "admin" },
    ]);
    const refused = await runProgram("cortex-node", ["leave", "--state", state]);
    expect(refused.status).toBe(73);
    expect(refused.stderr).toContain("cortex-node drain");
    expect((await runProgram("cortex-node", ["run", "--state", state])).status).toBe(73);
    expect((await runProgram("cortex-node", ["drain", "--state", state])).status).toBe(0);
    expect(await node.exited).toBe(0);
    expect((await runProgram("cortex-node", ["leave", "--state", state])).lines).toMatchObject([
      { event: "left", nodeId },
    ]);
    const gone = await runProgram("cortex-node", ["run", "--state", state]);
    expect(gone.status).toBe(65);
    expect(gone.stderr).toContain("has not joined");
  });

  it("I1: --no-run only joins, and an invite that is spent ends with 77", async () => {
    const root = await openTempDir();
    const hub = await startHub(join(root, "data"));
    const invite = await createInvite(hub);
    const joined = await runProgram("cortex-node", [
      "join",
      invite,
      "--state",
      join(root, "a"),
      "--workspace",
      root,
      "--no-run",
    ]);
    expect(joined).toMatchObject({ status: 0, lines: [{ event: "joined", hub: hub.grpc }] });
    const spent = await runProgram("cortex-node", ["join", invite, "--state", join(root, "b"), "--workspace", root]);
    expect(spent.status).toBe(77);
    expect(spent.stderr).not.toContain(invite);
  });

  it("I1: an invite in the configuration is used once", async () => {
    const root = await openTempDir();
    const hub = await startHub(join(root, "data"));
    const { configYaml, invite } = await call(hub, "POST /nodes/invites", { name: "yaml" });
    const config = join(root, "node.yaml");
    writeFileSync(config, `${String(configYaml)}workspace:\n  root: ws\n`);
    const args = ["run", "--state", join(root, "state"), "--config", config];
    const first = startProgram("cortex-node", args);
    const { nodeId } = await first.event("online");
    expect(readFileSync(join(root, "state", "settings.json"), "utf8")).not.toContain(invite);
    first.child.kill("SIGTERM");
    await first.exited;
    const second = startProgram("cortex-node", args);
    expect((await second.event("online"))["nodeId"]).toBe(nodeId);
  });

  it("I3: a node that is revoked ends with 77, and so does its next start", async () => {
    const root = await openTempDir();
    const hub = await startHub(join(root, "data"));
    const state = join(root, "state");
    const node = startProgram("cortex-node", [
      "join",
      await createInvite(hub),
      "--state",
      state,
      "--workspace",
      join(root, "ws"),
    ]);
    const { nodeId } = await node.event("online");
    await call(hub, `DELETE /nodes/${String(nodeId)}`);
    expect(await node.exited).toBe(77);
    expect((await runProgram("cortex-node", ["run", "--state", state])).status).toBe(77);
  });

  it("T4: a hub that cannot be reached ends with 69 only with a limit of tries", async () => {
    const root = await openTempDir();
    const hub = await startHub(join(root, "data"));
    const invite = await createInvite(hub);
    hub.program.child.kill("SIGKILL");
    await hub.program.exited;
    const args = ["join", invite, "--state", join(root, "state"), "--workspace", root];
    const limited = await runProgram("cortex-node", args, { env: { CORTEX_NODE_RECONNECT_MAX_RETRIES: "1" } });
    expect(limited.status).toBe(69);
    const patient = startProgram("cortex-node", args);
    await startHub(hub.data, ["--grpc", hub.grpc]);
    await patient.event("online");
  });

  it("L3: ends with the parent that gave it a channel", async () => {
    const root = await openTempDir();
    const hub = startProgram(
      "cortex-hub",
      ["serve", "--data", join(root, "d"), "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"],
      { hasChannel: true },
    );
    await hub.event("ready");
    hub.child.disconnect();
    expect(await hub.exited).toBe(0);
  });

  it.each([
    [["join"], 64, "invite"],
    [["run", "--bogus"], 64, "--bogus"],
    [["join", "cxi_nonsense"], 65, "invite"],
    [["join", "hello"], 65, "invite"],
    [["run", "--state", "/nonexistent/state"], 65, "/nonexistent/state"],
    [["join", UNREACHED, "--state", "/proc/cortex"], 73, "/proc/cortex"],
  ])("L3: %j ends with %i and names what is wrong", async (args, status, named) => {
    const result = await runProgram("cortex-node", args);
    expect(result).toMatchObject({ status, lines: [] });
    expect(result.stderr).toContain(named);
  });
});
