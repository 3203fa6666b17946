/** A hub as a host program has it: made by the SDK, used through the SDK, with one node on one session. */
import { createHash } from "node:crypto";
import { createHub, type Hub } from "@cortex-mesh/orchestrator-sdk";
import type { PeerMethods } from "./peer.js";

/** The level that the node of the benchmark has. */
const SANDBOX = { level: "none" } as const;
const USER = "bench";
/** How often a node that comes online is looked for, in milliseconds. */
const LOOK_MS = 20;

/** A task that prints a known text. */
export interface NoisyTask {
  readonly command: string;
  readonly sizeBytes: number;
  /** SHA-256 of all it prints, hex. */
  readonly sha256: string;
  /** Hashes what the reader gets while it gets it; without, what the hub stored is hashed after the clock has stopped. */
  readonly isReaderHashing: boolean;
}

/** Makes the peer. */
export function createHubPeer(): PeerMethods {
  let hub: Hub | undefined;
  let sessionId = "";
  const open = (): Hub => {
    if (hub === undefined) throw new Error("the hub was not started");
    return hub;
  };
  return {
    /** Starts a hub with its state in `data` and gives an invite. */
    async start({ data }: { readonly data: string }) {
      hub = await createHub({ data });
      return (await hub.as(USER).createInvite({})).invite;
    },
    /** Waits for the node and opens a session with it. */
    async attach({ nodeId }: { readonly nodeId: string }) {
      const api = open().as(USER);
      while ((await api.getNode({ nodeId })).status !== "online") await pause(LOOK_MS);
      ({ sessionId } = await api.createSession({ nodes: [{ nodeId }] }));
    },
    runShort: ({ command, idleMs }: { readonly command: string; readonly idleMs: number }) =>
      runShort(open(), sessionId, { command, idleMs }),
    runNoisy: (task: NoisyTask) => runNoisy(open(), sessionId, task),
    memory: async () => memoryOfThisProcess(),
    close: async () => hub?.close(),
  };
}

/** Resident bytes of a process now, and the most there ever were. */
export interface MemoryFigures {
  readonly rssBytes: number;
  readonly maxRssBytes: number;
}

/** Reads them for the process that asks. */
export function memoryOfThisProcess(): MemoryFigures {
  return { rssBytes: process.memoryUsage().rss, maxRssBytes: process.resourceUsage().maxRSS * 1024 };
}

/** Milliseconds from the call of the SDK to the result, on a mesh that has been idle. */
async function runShort(
  hub: Hub,
  sessionId: string,
  { command, idleMs }: { readonly command: string; readonly idleMs: number },
): Promise<number> {
  await pause(idleMs);
  const api = hub.as(USER);
  const startedAtMs = performance.now();
  const { taskId } = await api.dispatch({ sessionId, skill: "shell", input: { command }, sandbox: SANDBOX });
  let state: unknown;
  for await (const { event, data } of api.followTask({ taskId })) if (event === "state") state = data["state"];
  const takenMs = performance.now() - startedAtMs;
  if (state !== "succeeded") throw new Error(`${taskId} ended ${String(state)}`);
  return takenMs;
}

/** Bytes a second that a reader in this process gets of a task, from the call of the SDK to the end of the task. */
async function runNoisy(hub: Hub, sessionId: string, task: NoisyTask): Promise<number> {
  const api = hub.as(USER);
  const hash = createHash("sha256");
  let readBytes = 0;
  let state: unknown;
  const startedAtMs = performance.now();
  const input = { command: task.command };
  const { taskId } = await api.dispatch({ sessionId, skill: "shell", input, sandbox: SANDBOX });
  for await (const { event, data } of api.followTask({ taskId })) {
    if (event === "state") state = data["state"];
    if (data.text === undefined) continue;
    readBytes += Buffer.byteLength(data.text);
    if (task.isReaderHashing) hash.update(data.text);
  }
  const rate = readBytes / ((performance.now() - startedAtMs) / 1000);
  if (state !== "succeeded") throw new Error(`${taskId} ended ${String(state)}`);
  if (!task.isReaderHashing) {
    const { sizeBytes, read } = await api.readTaskOutput({ taskId, stream: "stdout" });
    for await (const bytes of read(0, sizeBytes)) hash.update(bytes);
  }
  const sha256 = hash.digest("hex");
  if (readBytes !== task.sizeBytes) throw new Error(`${readBytes} bytes were read, ${task.sizeBytes} were printed`);
  if (sha256 !== task.sha256) throw new Error(`other bytes were read than were printed: ${sha256}`);
  return rate;
}

function pause(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}
