/** The cores of a hub and a node, as in production, over links in memory: frames get lost and repeated, time is moved by hand. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  createMemoryState,
  createNodeCore,
  createNoneDriver,
  createSpool,
  type HubTransport,
  type NodeCore,
  shell,
} from "@cortex-mesh/node-sdk";
import { createMemoryStore, type HubCore, openHubCore } from "@cortex-mesh/orchestrator-sdk";
import {
  CortexError,
  decodeInvite,
  generateSigningKey,
  type Link,
  type NodeId,
  signEnrollmentProof,
  systemIds,
} from "@cortex-mesh/protocol";
import {
  BeginEnrollmentRequestSchema,
  FinishEnrollmentRequestSchema,
  HubTaskFrameSchema,
  IssueTokenRequestSchema,
  NodeTaskFrameSchema,
  RegistrationRequestSchema,
} from "@cortex-mesh/protocol/gen";
import { createMemoryLinkPair, type FrameFault } from "../src/memory-link.js";
import { createVirtualClock, type VirtualClock } from "../src/virtual-clock.js";

/** Faults of the control stream, by direction; each connection counts anew. */
interface ControlFaults {
  up?: FrameFault;
  down?: FrameFault;
}

interface Mesh {
  readonly hub: HubCore;
  readonly node: NodeCore;
  readonly nodeId: NodeId;
  readonly clock: VirtualClock;
  readonly log: string[];
  readonly faults: ControlFaults;
  /** Connections dialled so far. */
  readonly dials: () => number;
  /** Moves time until the condition holds. */
  until(what: string, holds: () => Promise<boolean> | boolean): Promise<void>;
  close(): Promise<void>;
}

let directory = "";
let mesh: Mesh;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "cortex-mesh-"));
  mesh = await openMesh(directory);
});
afterEach(async () => {
  await mesh.close();
  await rm(directory, { recursive: true, force: true });
});

async function openMesh(root: string): Promise<Mesh> {
  const clock = createVirtualClock();
  const log: string[] = [];
  const note = (_facts: object, message: string): void => void log.push(message);
  const hub = await openHubCore({
    store: createMemoryStore(),
    outputDirectory: join(root, "output"),
    clock,
    ids: systemIds,
    logger: { debug: note, info: note, warn: note, error: note },
    locate: async () => ({ caPem: undefined, endpoint: () => ({ address: "memory:1", caFingerprint: undefined }) }),
  });
  await hub.start();
  const key = generateSigningKey();
  const nodeId = await enrol(hub, key);
  const faults: ControlFaults = {};
  let dials = 0;
  const node = createNodeCore({
    identity: {
      nodeId,
      hubId: hub.authority.hubId,
      ownerId: "alice",
      nodeName: "a",
      address: "memory:1",
      caPem: "",
      grantKeys: [
        {
          keyId: hub.authority.grantKey.keyId,
          publicKey: Buffer.from(hub.authority.grantKey.publicKey).toString("base64"),
          notAfterMs: 0,
        },
      ],
      workspaceRoot: join(root, "workspaces"),
    },
    key,
    state: createMemoryState(),
    spool: createSpool({ directory: join(root, "spool"), clock }),
    skills: [shell()],
    drivers: new Map([["none", createNoneDriver({ nodeId })]]),
    dial: () => {
      dials += 1;
      return memoryTransport(hub, faults);
    },
    clock,
    random: () => 0.5,
    randomBytes: (size) => crypto.getRandomValues(new Uint8Array(size)),
    bootId: "boot-1",
    machine: {
      capabilities: (skills) => ({ os: "linux", skills: skills.map(({ name, version }) => ({ name, version })) }),
      figures: () => ({}),
    },
    hostEnv: process.env,
    sweep: async () => undefined,
    events: {
      online: () => void log.push("online"),
      offline: (reason) => void log.push(`offline ${reason?.code ?? ""}`),
      connectFailed: (error) => void log.push(`connectFailed ${error.message}`),
      draining: () => undefined,
      drainRequested: () => undefined,
      refused: (error) => void log.push(`refused ${error.message}`),
    },
  });
  const until: Mesh["until"] = async (what, holds) => {
    for (let turn = 0; turn < 3000; turn++) {
      if (await holds()) return;
      // Real processes and files take real time; the clock of the cores moves on beside them.
      await clock.advance(20);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    throw new Error(`${what} did not come; the log: ${log.join(" | ")}`);
  };
  await node.start();
  await until("the node", () => log.includes("online"));
  const close = async (): Promise<void> => {
    let isClosed = false;
    const closing = Promise.all([node.close(), hub.close()]).then(() => {
      isClosed = true;
    });
    await until("the end", () => isClosed);
    await closing;
  };
  return { hub, node, nodeId, clock, log, faults, dials: () => dials, until, close };
}

/** The calls of a node to its hub without a network between them. */
function memoryTransport(hub: HubCore, faults: ControlFaults): HubTransport {
  const open: Link[] = [];
  const pair = (control: ControlFaults = {}): readonly [Link, Link] => {
    const links = createMemoryLinkPair({ forward: control.up, backward: control.down });
    open.push(links[0]);
    return links;
  };
  /** The node's end at once; the hub's when the token is verified, as over a network. */
  const serve = (links: readonly [Link, Link], token: string, how: "openTasks" | "openHealth" | "openLogs"): Link => {
    void hub.tokens.verify(token).then((credentials) => hub.gateway[how](credentials, links[1]));
    return links[0];
  };
  return {
    issueToken: (request) => hub.tokens.issue(create(IssueTokenRequestSchema, request)),
    register: async (request, token) =>
      hub.gateway.register(await hub.tokens.verify(token), create(RegistrationRequestSchema, request)),
    openTasks: (token) => serve(pair(faults), token, "openTasks"),
    openHealth: (token) => serve(pair(), token, "openHealth"),
    openLogs: (token) => serve(pair(), token, "openLogs"),
    close: () => {
      for (const link of open) link.close();
    },
  };
}

async function enrol(hub: HubCore, key: ReturnType<typeof generateSigningKey>): Promise<NodeId> {
  const { invite } = await hub.as("alice").createInvite({ name: "a" });
  const { inviteId, secret } = decodeInvite(invite);
  const { publicKey } = key;
  const { challenge, hubId } = hub.enrolment.begin(create(BeginEnrollmentRequestSchema, { inviteId, publicKey }));
  const signature = signEnrollmentProof(key, { challenge, inviteId, publicKey, hubId });
  const request = create(FinishEnrollmentRequestSchema, {
    inviteId,
    publicKey,
    challenge,
    secret,
    signature,
    nodeName: "a",
  });
  return (await hub.enrolment.finish(request)).nodeId as NodeId;
}

/** Dispatches a command that leaves one line in a file for each time it runs. */
async function dispatch(): Promise<string> {
  const alice = mesh.hub.as("alice");
  const { sessionId } = await alice.createSession({ nodes: [{ nodeId: mesh.nodeId, path: "work" }] });
  const { taskId } = await alice.dispatch({
    sessionId,
    skill: "shell",
    input: { command: "echo ran >> runs.txt; cat runs.txt" },
  });
  return taskId;
}

async function assertRanOnce(taskId: string): Promise<void> {
  const alice = mesh.hub.as("alice");
  const isEnded = async (): Promise<boolean> => (await alice.getTask({ taskId })).finishedAt !== null;
  await mesh.until("the end of the task", isEnded);
  const task = await alice.getTask({ taskId });
  expect(task).toMatchObject({
    state: "succeeded",
    result: { exitCode: 0 },
    output: { stdoutBytes: 4, complete: true },
  });
  const seqs: string[] = [];
  for await (const { id } of alice.followTask({ taskId })) seqs.push(id);
  expect(seqs).toEqual(seqs.map((_, index) => String(index + 1)));
}

/** Meets each frame of one kind with a fate, the first time it comes. */
function once(isMeant: (frame: Uint8Array) => boolean, fate: "drop" | "duplicate"): FrameFault {
  let isMet = false;
  return (frame) => {
    if (isMet || !isMeant(frame)) return "deliver";
    isMet = true;
    return fate;
  };
}
const isDown = (kind: string) => (frame: Uint8Array) => fromBinary(HubTaskFrameSchema, frame).body.case === kind;
const isUp = (kind: string) => (frame: Uint8Array) => fromBinary(NodeTaskFrameSchema, frame).body.case === kind;

describe("two cores over links in memory", () => {
  /** A new connection has new links, and those are without a fault. */
  const reconnect = async (fault: ControlFaults): Promise<void> => {
    Object.assign(mesh.faults, fault);
    const before = mesh.dials();
    // The links of the first connection were made without a fault: begin anew with it.
    mesh.hub.connections.get(mesh.nodeId)?.close(new CortexError("UNAVAILABLE", "the test cuts the connection"));
    await mesh.until(
      "the next connection",
      () => mesh.dials() > before && mesh.log.filter((line) => line === "online").length > 1,
    );
    delete mesh.faults.up;
    delete mesh.faults.down;
  };

  it("E2: without a fault a task runs, its output is whole and its events are numbered without a gap", async () => {
    await assertRanOnce(await dispatch());
    expect(mesh.dials()).toBe(1);
  });

  it.each([
    ["the grant is lost on its way down", { down: once(isDown("grant"), "drop") }],
    ["the start report is lost on its way up", { up: once(isUp("started"), "drop") }],
    ["the result is lost on its way up", { up: once(isUp("response"), "drop") }],
  ])("T8: when %s, the connection is made anew and the task runs once to its end", async (_title, fault) => {
    await reconnect(fault);
    const dialsBefore = mesh.dials();
    await assertRanOnce(await dispatch());
    expect(mesh.dials()).toBeGreaterThan(dialsBefore);
  });

  it("T8: when the acknowledgement of a result is lost, the result is sent again and changes nothing", async () => {
    await reconnect({ down: once(isDown("responseAck"), "drop") });
    const dialsBefore = mesh.dials();
    const taskId = await dispatch();
    await assertRanOnce(taskId);
    await mesh.until("the next connection", () => mesh.dials() > dialsBefore);
    await assertRanOnce(taskId);
  });

  it.each([
    ["the grant", { down: once(isDown("grant"), "duplicate") }],
    ["the start report", { up: once(isUp("started"), "duplicate") }],
    ["the result", { up: once(isUp("response"), "duplicate") }],
  ])("E5: when %s comes twice, the task runs once to its end over the same connection", async (_title, fault) => {
    await reconnect(fault);
    const dialsBefore = mesh.dials();
    await assertRanOnce(await dispatch());
    expect(mesh.dials()).toBe(dialsBefore);
  });
});
