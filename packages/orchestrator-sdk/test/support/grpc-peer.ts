/** A node of a few lines over real gRPC: honest unless a test makes it lie. It runs nothing. */
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { onTestFinished } from "vitest";
import {
  type CortexError,
  decodeInvite,
  generateSigningKey,
  type HubId,
  hubServerName,
  type Link,
  type NodeId,
  type SigningKey,
  signEnrollmentProof,
  signTokenProof,
} from "@cortex-mesh/protocol";
import {
  AgentOrchestrator,
  Enrollment,
  HeartbeatSchema,
  type HubTaskFrame,
  HubTaskFrameSchema,
  NodeTaskFrameSchema,
  type RegistrationRequestSchema,
} from "@cortex-mesh/protocol/gen";
import { type ChannelRole, fetchServerCa, type GrpcChannel, openChannel } from "@cortex-mesh/protocol/grpc";
import type { GrpcHub } from "./start-grpc-hub.js";
import { until } from "./until.js";

type NodeFrameBody = NonNullable<MessageInitShape<typeof NodeTaskFrameSchema>["body"]>;
type Registration = MessageInitShape<typeof RegistrationRequestSchema>;

/** What a stream is opened with. */
export interface Authorization {
  readonly headers: Readonly<Record<string, string>>;
}

export const bearer = (token: string): Authorization => ({ headers: { authorization: `Bearer ${token}` } });

/** The streams of a node that registered. */
export interface PeerConnection {
  readonly epoch: bigint;
  readonly token: string;
  readonly tasks: Link;
  readonly health: Link;
  readonly received: readonly HubTaskFrame[];
  openLogs(): Link;
  say(body: NodeFrameBody, place?: { readonly seq?: bigint; readonly epoch?: bigint }): void;
  heartbeat(epoch?: bigint): void;
  hello(): Promise<void>;
  /** Payload types of the grants that came. */
  grants(): string[];
}

/** A node that is enrolled. */
export interface GrpcPeer {
  readonly nodeId: NodeId;
  readonly hubId: HubId;
  readonly key: SigningKey;
  open(role: ChannelRole): GrpcChannel;
  /** A token with a new epoch. */
  token(): Promise<{ readonly token: string; readonly epoch: bigint }>;
  register(token: string, changes?: Registration): Promise<unknown>;
  /** Registers and opens control and health; says no hello. */
  dial(): Promise<PeerConnection>;
  /** Dials and says hello. */
  connect(): Promise<PeerConnection>;
}

/** Reads the hub's authority as the invite pins it, and opens a channel to it. */
export async function openTo(grpcHub: GrpcHub, invite: string, role: ChannelRole = "control"): Promise<GrpcChannel> {
  const { address, caFingerprint = "" } = decodeInvite(invite);
  const caPem = await fetchServerCa({ address, fingerprint: Buffer.from(caFingerprint, "hex"), timeoutMs: 5_000 });
  const channel = openChannel({ address, role, tls: { caPem, serverName: hubServerName(grpcHub.hub.hubId) } });
  onTestFinished(() => channel.close());
  return channel;
}

/** Spends an invite with a key. */
export async function redeem(channel: GrpcChannel, invite: string, key: SigningKey): Promise<NodeId> {
  const { inviteId, secret } = decodeInvite(invite);
  const { publicKey } = key;
  const calls = channel.client(Enrollment);
  const { challenge, hubId } = await calls.beginEnrollment({ inviteId, publicKey, protocolVersion: 1 });
  const signature = signEnrollmentProof(key, { challenge, inviteId, publicKey, hubId });
  return (await calls.finishEnrollment({ inviteId, publicKey, challenge, secret, signature })).nodeId as NodeId;
}

/** Enrols a new node. */
export async function enrolPeer(grpcHub: GrpcHub): Promise<GrpcPeer> {
  const key = generateSigningKey();
  const invite = await grpcHub.invite();
  const control = await openTo(grpcHub, invite);
  const data = await openTo(grpcHub, invite, "data");
  const nodeId = await redeem(control, invite, key);
  const { hubId } = grpcHub.hub;
  const orchestrator = control.client(AgentOrchestrator);
  const token: GrpcPeer["token"] = async () => {
    const { nonce } = await control.client(Enrollment).issueToken({ nodeId });
    const signature = signTokenProof(key, { nonce, nodeId, hubId, epoch: 0n });
    return control.client(Enrollment).issueToken({ nodeId, nonce, signature });
  };
  const register: GrpcPeer["register"] = (shown, changes = {}) =>
    orchestrator.syncConfiguration(
      {
        nodeId,
        protocolMin: 1,
        protocolMax: 1,
        bootId: "boot",
        sessionNonce: new Uint8Array(16).fill(7),
        maxTasks: 4,
        capabilities: { os: "linux", arch: "x64", skills: [{ name: "shell" }] },
        ...changes,
      } as Registration,
      bearer(shown),
    );
  const dial: GrpcPeer["dial"] = async () => {
    const issued = await token();
    await register(issued.token);
    const auth = bearer(issued.token);
    const streams = { tasks: orchestrator.taskStream(auth), health: orchestrator.reportHealth(auth) };
    return speak(streams, issued, () => data.client(AgentOrchestrator).logStream(auth));
  };
  return {
    nodeId,
    hubId,
    key,
    open: (role) => (role === "control" ? control : data),
    token,
    register,
    dial,
    async connect() {
      const connection = await dial();
      await connection.hello();
      return connection;
    },
  };
}

function speak(
  { tasks, health }: Pick<PeerConnection, "tasks" | "health">,
  { token, epoch }: { readonly token: string; readonly epoch: bigint },
  openLogs: () => Link,
): PeerConnection {
  const received: HubTaskFrame[] = [];
  let sentSeq = 0n;
  tasks.onFrames((frames) => void received.push(...frames.map((bytes) => fromBinary(HubTaskFrameSchema, bytes))));
  health.onFrames(() => {});
  const say: PeerConnection["say"] = (body, place = {}) => {
    if (place.seq === undefined) sentSeq += 1n;
    tasks.send(toBinary(NodeTaskFrameSchema, create(NodeTaskFrameSchema, { seq: sentSeq, epoch, ...place, body })));
  };
  const heartbeat: PeerConnection["heartbeat"] = (over = epoch) =>
    health.send(toBinary(HeartbeatSchema, create(HeartbeatSchema, { seq: 1n, epoch: over, controlSentSeq: sentSeq })));
  return {
    epoch,
    token,
    tasks,
    health,
    received,
    openLogs,
    say,
    heartbeat,
    async hello() {
      say({ case: "hello", value: { held: [], bootId: "boot" } });
      heartbeat();
      await until(() => received.some(({ body }) => body.case === "welcome"), "the welcome");
    },
    grants: () => received.flatMap(({ body }) => (body.case === "grant" ? [body.value.payloadType] : [])),
  };
}

/** Shows that the hub still serves an honest node: it enrols, connects and gets a task. */
export async function assertServes(grpcHub: GrpcHub): Promise<void> {
  const peer = await enrolPeer(grpcHub);
  const connection = await peer.connect();
  await grpcHub.dispatchTo(peer.nodeId);
  await until(() => connection.grants().length === 1, "a task for an honest node");
  connection.tasks.close();
}

/** The code that a call is refused with; undefined when it is answered. */
export async function codeOf(work: Promise<unknown>): Promise<string | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    return (error as CortexError).code;
  }
}
