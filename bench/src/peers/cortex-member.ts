/**
 * A node as the hub sees it, without disk and without tasks: enrols with a key, proves it, registers, says hello, sends
 * heartbeats. The channels, the messages and the signatures are those of production.
 */
import { randomBytes } from "node:crypto";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  CORTEX_VERSION,
  decodeInvite,
  generateSigningKey,
  type Link,
  PROTOCOL_VERSION,
  SESSION_NONCE_BYTES,
  type SigningKey,
  SUPPORTED_PROTOCOL,
  signEnrollmentProof,
  signTokenProof,
} from "@cortex-mesh/protocol";
import {
  AgentOrchestrator,
  Enrollment,
  HeartbeatSchema,
  HubTaskFrameSchema,
  NodeTaskFrameSchema,
} from "@cortex-mesh/protocol/gen";
import { type ChannelRole, type GrpcChannel, openChannel } from "@cortex-mesh/protocol/grpc";
import { type FleetConnection, type FleetEndpoint, type FleetMember, HEARTBEAT_MS } from "./fleet-member.js";

interface Identity {
  readonly endpoint: FleetEndpoint;
  readonly nodeId: string;
  readonly key: SigningKey;
}

/** Enrols with an invite. */
export async function makeCortexMember(endpoint: FleetEndpoint, invite: string): Promise<FleetMember> {
  const identity = await enrol(endpoint, invite);
  return { connect: () => connect(identity) };
}

async function enrol(endpoint: FleetEndpoint, text: string): Promise<Identity> {
  const { inviteId, secret } = decodeInvite(text);
  const key = generateSigningKey();
  const { publicKey } = key;
  const channel = open(endpoint, "control");
  try {
    const client = channel.client(Enrollment);
    const request = { inviteId, publicKey, protocolVersion: PROTOCOL_VERSION };
    const { challenge, hubId } = await client.beginEnrollment(request);
    const signature = signEnrollmentProof(key, { challenge, inviteId, publicKey, hubId });
    const proof = { inviteId, publicKey, challenge, secret, signature, nodeName: "idle", version: CORTEX_VERSION };
    const { nodeId } = await client.finishEnrollment(proof);
    return { endpoint, nodeId, key };
  } finally {
    channel.close();
  }
}

function open({ address, caPem, serverName }: FleetEndpoint, role: ChannelRole): GrpcChannel {
  return openChannel({ address, role, tls: { caPem, serverName } });
}

interface Session {
  readonly identity: Identity;
  readonly control: GrpcChannel;
  readonly epoch: bigint;
  readonly authorized: { readonly headers: Readonly<Record<string, string>> };
}

async function connect(identity: Identity): Promise<FleetConnection> {
  const control = open(identity.endpoint, "control");
  try {
    return await openStreams(await register(identity, control));
  } catch (error) {
    control.close();
    throw error;
  }
}

async function register(identity: Identity, control: GrpcChannel): Promise<Session> {
  const { endpoint, nodeId, key } = identity;
  const enrollment = control.client(Enrollment);
  const { nonce } = await enrollment.issueToken({ nodeId });
  const signature = signTokenProof(key, { nonce, nodeId, hubId: endpoint.hubId, epoch: 0n });
  const { token, epoch } = await enrollment.issueToken({ nodeId, nonce, signature, epoch: 0n });
  const authorized = { headers: { authorization: `Bearer ${token}` } };
  const request = {
    nodeId,
    version: CORTEX_VERSION,
    protocolMin: SUPPORTED_PROTOCOL.min,
    protocolMax: SUPPORTED_PROTOCOL.max,
    capabilities: { os: "linux", arch: "x64", shell: "bash", skills: [{ name: "shell", version: "1.0.0" }] },
    sessionNonce: randomBytes(SESSION_NONCE_BYTES),
    bootId: nodeId,
    nodeTimeMs: BigInt(Date.now()),
    maxTasks: 64,
  };
  await control.client(AgentOrchestrator).syncConfiguration(request, authorized);
  return { identity, control, epoch, authorized };
}

async function openStreams(session: Session): Promise<FleetConnection> {
  const { control, epoch, authorized, identity } = session;
  const orchestrator = control.client(AgentOrchestrator);
  const tasks = orchestrator.taskStream(authorized);
  const body = { case: "hello", value: { bootId: identity.nodeId } } as const;
  tasks.send(toBinary(NodeTaskFrameSchema, create(NodeTaskFrameSchema, { seq: 1n, epoch, body })));
  const received = await welcome(tasks);
  const health = orchestrator.reportHealth(authorized);
  const beating = startBeating(health, { epoch, received });
  let data: GrpcChannel | undefined;
  return {
    async openData() {
      data = open(identity.endpoint, "data");
      // Nothing is sent: the call opens the connection and its stream, as a log that has nothing to say.
      const log = data.client(AgentOrchestrator).logStream(authorized);
      void log.closed.then(() => control.close());
    },
    get answers() {
      return beating.answers();
    },
    lost: Promise.race([tasks.closed, health.closed]).then(() => {
      beating.stop();
      control.close();
      data?.close();
    }),
    close() {
      control.close();
      data?.close();
    },
  };
}

/** Waits for the welcome; gives a function that says which frame was the last. */
function welcome(tasks: Link): Promise<() => bigint> {
  let lastSeq = 0n;
  return new Promise((resolve, reject) => {
    void tasks.closed.then((reason) => reject(reason ?? new Error("the stream ended before the welcome")));
    tasks.onFrames((frames) => {
      for (const bytes of frames) {
        const { seq, body } = fromBinary(HubTaskFrameSchema, bytes);
        lastSeq = seq;
        if (body.case === "welcome") resolve(() => lastSeq);
      }
    });
  });
}

function startBeating(health: Link, { epoch, received }: { readonly epoch: bigint; readonly received: () => bigint }) {
  let seq = 0n;
  let answers = 0;
  const beat = (): void => {
    seq += 1n;
    const figures = {
      cpuRatio: 0.25,
      memoryRatio: 0.5,
      memoryFreeBytes: 8_000_000_000n,
      loadAverage: 0.5,
      diskFreeBytes: 80_000_000_000n,
      diskRatio: 0.5,
      processRssBytes: 80_000_000n,
      roundTripMs: 0.8,
    };
    const position = { controlSentSeq: 1n, controlReceivedSeq: received() };
    health.send(toBinary(HeartbeatSchema, create(HeartbeatSchema, { ...figures, ...position, seq, epoch })));
  };
  health.onFrames((frames) => {
    answers += frames.length;
  });
  beat();
  const timer = setInterval(beat, HEARTBEAT_MS);
  return { answers: () => answers, stop: () => clearInterval(timer) };
}
