/** A hub that does what a test says: real keys and signatures, streams in memory. */
import { create } from "@bufbuild/protobuf";
import {
  type Clock,
  CortexError,
  generateSigningKey,
  isTokenProof,
  type Link,
  type SigningKey,
} from "@cortex-mesh/protocol";
import {
  IssueTokenResponseSchema,
  type LogFrame,
  LogKind,
  RegistrationResponseSchema,
} from "@cortex-mesh/protocol/gen";
import { createMemoryLinkPair } from "@cortex-mesh/testing";
import type { HubDial } from "../../src/link/transport.js";
import type { NodeIdentity } from "../../src/state/identity.js";
import { createHubSide, HUB_ID, type HubBehaviour, type HubConnection, NODE_ID, taskIdOf } from "./hub-side.js";
import { waitUntil } from "./wait-until.js";

export { HUB_ID, type HubConnection, NODE_ID, SESSION_ID, type TaskSpec, taskIdOf } from "./hub-side.js";

/** The log of a task as it came. */
export interface ReceivedOutput {
  readonly seqs: readonly number[];
  /** Standard output. */
  readonly text: string;
  /** Gaps that stand for several numbers, `from-through`. */
  readonly holes: readonly string[];
  readonly gapBytes: number;
}

/** The hub. */
export interface ScriptedHub {
  readonly identity: NodeIdentity;
  readonly nodeKey: SigningKey;
  readonly dial: HubDial;
  readonly behaviour: HubBehaviour;
  readonly connections: readonly HubConnection[];
  /** Output by task, each record once and in order; a gap in the numbers throws. */
  output(index: number): ReceivedOutput;
  /** Tasks of the log frames in the order they came. */
  readonly arrivals: readonly string[];
  /** Log frames that came twice. */
  readonly duplicates: number;
  readonly tokens: readonly bigint[];
  /** Tokens that log streams were opened with. */
  readonly logTokens: readonly string[];
  readonly hubKey: SigningKey;
  /** The n-th connection (from 1) once it is welcomed. */
  connection(number: number): Promise<HubConnection>;
}

function lastSeqOf(list: readonly LogFrame[]): number {
  const last = list.at(-1);
  return last === undefined ? 0 : Math.max(Number(last.seq), Number(last.gap?.throughSeq ?? 0n));
}

/** Makes a hub that knows one node. */
export function createScriptedHub(clock: Clock, workspaceRoot: string): ScriptedHub {
  const hubKey = generateSigningKey();
  const nodeKey = generateSigningKey();
  const behaviour: HubBehaviour = {
    acksLogs: true,
    acksResponses: true,
    answersHeartbeats: true,
    phantomFrames: 0,
    unwanted: [],
    taskFaults: {},
    callError: undefined,
    welcomes: true,
    lostRegistrations: 0,
    wrapTasks: (link) => link,
    moreKeys: [],
  };
  const connections: HubConnection[] = [];
  const logs = new Map<string, LogFrame[]>();
  const tokens: bigint[] = [];
  const logTokens: string[] = [];
  const registered = new Set<bigint>();
  let epoch = 0n;
  let duplicates = 0;
  const arrivals: string[] = [];

  const store = (frame: LogFrame): { key: { taskId: string; attempt: number }; through: number; resend: boolean } => {
    const name = frame.log?.name;
    if (name?.case !== "task") throw new Error("a frame without a log");
    const key = name.value;
    arrivals.push(key.taskId);
    const list = logs.get(key.taskId) ?? [];
    logs.set(key.taskId, list);
    const seq = Number(frame.seq);
    const held = lastSeqOf(list);
    // A gap may stand for several numbers.
    if (Math.max(seq, Number(frame.gap?.throughSeq ?? 0n)) <= held) duplicates += 1;
    else if (seq <= held + 1) list.push({ ...frame, data: Uint8Array.from(frame.data) });
    else return { key, through: held, resend: true };
    return { key, through: lastSeqOf(list), resend: false };
  };

  const dial: HubDial = () => {
    const links: Link[] = [];
    const world = { sessionNonce: new Uint8Array(16), epoch: 0n };
    let side: ReturnType<typeof createHubSide> | undefined;
    const refuse = (): void => {
      if (behaviour.callError !== undefined) throw behaviour.callError;
    };
    const track = (pair: readonly [Link, Link]): readonly [Link, Link] => {
      links.push(...pair);
      return pair;
    };
    return {
      async issueToken(request) {
        refuse();
        if ((request.nonce?.byteLength ?? 0) === 0) {
          return create(IssueTokenResponseSchema, { nonce: Uint8Array.from({ length: 32 }, () => 7) });
        }
        const asked = request.epoch ?? 0n;
        const fields = { nonce: request.nonce!, nodeId: NODE_ID, hubId: HUB_ID, epoch: asked };
        if (!isTokenProof(nodeKey, fields, request.signature!)) throw new CortexError("UNAUTHENTICATED", "bad proof");
        tokens.push(asked);
        if (asked === 0n) {
          epoch += 1n;
          world.epoch = epoch;
        }
        return create(IssueTokenResponseSchema, {
          token: `token-${tokens.length}`,
          epoch: world.epoch,
          expiresInMs: 600_000,
        });
      },
      async register(request) {
        refuse();
        if (registered.has(world.epoch)) throw new CortexError("SUPERSEDED", "an epoch registers once");
        registered.add(world.epoch);
        if (behaviour.lostRegistrations > 0) {
          behaviour.lostRegistrations -= 1;
          return await new Promise(() => {});
        }
        world.sessionNonce = Uint8Array.from(request.sessionNonce!);
        return create(RegistrationResponseSchema, {
          protocolVersion: 1,
          epoch: world.epoch,
          grantKeys: [hubKey, ...behaviour.moreKeys].map(({ keyId, publicKey }) => ({ keyId, publicKey })),
          heartbeatIntervalMs: 5_000,
          leaseMs: 20_000,
        });
      },
      openTasks() {
        const [node, hub] = track(createMemoryLinkPair(behaviour.taskFaults));
        side = createHubSide({ hub, clock, hubKey, behaviour, world: { ...world }, store });
        connections.push(side.connection);
        return behaviour.wrapTasks(node);
      },
      openHealth() {
        const [node, hub] = track(createMemoryLinkPair());
        side!.attachHealth(hub);
        return node;
      },
      openLogs(token) {
        logTokens.push(token);
        const [node, hub] = track(createMemoryLinkPair());
        side!.attachLogs(hub);
        return node;
      },
      close() {
        for (const link of links) link.close(new CortexError("CANCELLED", "the transport was closed"));
      },
    };
  };

  return {
    identity: {
      nodeId: NODE_ID,
      hubId: HUB_ID,
      ownerId: "alice",
      nodeName: "test",
      address: "hub:1",
      caPem: "",
      grantKeys: [{ keyId: hubKey.keyId, publicKey: Buffer.from(hubKey.publicKey).toString("base64"), notAfterMs: 0 }],
      workspaceRoot,
    },
    nodeKey,
    dial,
    behaviour,
    connections,
    output(index) {
      const list = logs.get(taskIdOf(index)) ?? [];
      return {
        seqs: list.map((frame) => Number(frame.seq)),
        text: Buffer.concat(
          list.filter((frame) => frame.kind === LogKind.STDOUT).map((frame) => frame.data),
        ).toString(),
        holes: list.flatMap(({ seq, gap }) => (gap?.throughSeq ? [`${seq}-${gap.throughSeq}`] : [])),
        gapBytes: list.reduce((sum, frame) => sum + Number(frame.gap?.bytes ?? 0n), 0),
      };
    },
    arrivals,
    get duplicates() {
      return duplicates;
    },
    tokens,
    logTokens,
    hubKey,
    async connection(number) {
      const found = await waitUntil(() => connections[number - 1], `connection ${number}`);
      await found.heard("hello");
      return found;
    },
  };
}
