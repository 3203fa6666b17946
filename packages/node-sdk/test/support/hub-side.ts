/** One connection of a scripted hub: signs grants, answers heartbeats, keeps what it hears. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type Clock,
  CortexError,
  type HubId,
  type Link,
  type NodeId,
  PAYLOAD_TYPES,
  type SigningKey,
  signGrant,
} from "@cortex-mesh/protocol";
import {
  CancelGrantSchema,
  HeartbeatSchema,
  HubTaskFrameSchema,
  LeaseAnswerSchema,
  LogAckSchema,
  type LogFrame,
  LogFrameSchema,
  type NodeTaskFrame,
  NodeTaskFrameSchema,
  type SignedGrant,
  TaskGrantSchema,
} from "@cortex-mesh/protocol/gen";
import type { LinkFaults } from "@cortex-mesh/testing";
import { waitUntil } from "./wait-until.js";

export const HUB_ID = "hub_01HZZZZZZZZZZZZZZZZZZZZZZZ" as HubId;
export const NODE_ID = "node_01HZZZZZZZZZZZZZZZZZZZZZZZ" as NodeId;
export const SESSION_ID = "ses_01HZZZZZZZZZZZZZZZZZZZZZZZ";

/** The id of a test's task: `taskIdOf(1)`. */
export function taskIdOf(index: number): string {
  return `task_01HZZZZZZZZZZZZZZZZZZZ${String(index).padStart(4, "0")}`;
}

type NodeBody = NodeTaskFrame["body"];
type BodyCase = NonNullable<NodeBody["case"]>;
type BodyOf<C extends BodyCase> = Extract<NodeBody, { case: C }>["value"];

/** What to dispatch. */
export interface TaskSpec {
  readonly index: number;
  readonly attempt?: number;
  readonly skill?: string;
  readonly input?: unknown;
  readonly inputBytes?: Uint8Array;
  readonly stdin?: boolean;
  readonly timeoutMs?: number;
  readonly stallAfterMs?: number;
  readonly cwd?: string;
  readonly workspacePath?: string;
  readonly outputBytes?: number;
  readonly level?: string;
  readonly header?: Partial<{
    nodeId: string;
    hubId: string;
    sessionNonce: Uint8Array;
    epoch: bigint;
    notAfterMs: bigint;
  }>;
  readonly signer?: SigningKey;
}

/** Behaviour of the hub that a test may change. */
export interface HubBehaviour {
  /** Whether output is acknowledged. */
  acksLogs: boolean;
  /** Whether ends are acknowledged. */
  acksResponses: boolean;
  /** Whether heartbeats are answered. */
  answersHeartbeats: boolean;
  /** Added to the number of frames that answers say were sent. */
  phantomFrames: number;
  unwanted: { taskId: string; attempt: number }[];
  taskFaults: LinkFaults;
  /** Thrown by the next calls. */
  callError: CortexError | undefined;
  /** Whether a hello is answered. */
  welcomes: boolean;
  /** Registrations that are recorded and whose answers get lost, from now on. */
  lostRegistrations: number;
  /** Wraps the node's end of the next control streams. */
  wrapTasks: (link: Link) => Link;
  /** Keys that a registration names beside the hub's own. */
  moreKeys: readonly SigningKey[];
}

/** One connection as the hub sees it. */
export interface HubConnection {
  readonly epoch: bigint;
  readonly frames: readonly NodeTaskFrame[];
  readonly heartbeats: number;
  /** LogStreams that were opened. */
  readonly logStreams: number;
  readonly isOver: boolean;
  /** The first statement of a kind, about a task if one is given; waits for it. */
  heard<C extends BodyCase>(kind: C, index?: number): Promise<BodyOf<C>>;
  said<C extends BodyCase>(kind: C, index?: number): BodyOf<C>[];
  grant(spec: TaskSpec): SignedGrant;
  dispatch(spec: TaskSpec): void;
  sendGrant(grant: SignedGrant): void;
  cancel(index: number, attempt?: number): void;
  send(body: Parameters<typeof frameOf>[0]["body"]): void;
  ackLog(index: number, throughSeq: number, options?: { resend?: boolean; refused?: boolean }): void;
  closeLogs(): void;
  /** Sends bytes as they are. */
  sendRaw(stream: "tasks" | "health" | "logs", bytes: Uint8Array): void;
  cut(error?: CortexError): void;
}

function frameOf(fields: {
  seq: bigint;
  epoch: bigint;
  body: NonNullable<Parameters<typeof create<typeof HubTaskFrameSchema>>[1]>["body"];
}) {
  return toBinary(HubTaskFrameSchema, create(HubTaskFrameSchema, fields as never));
}

interface SideOptions {
  readonly hub: Link;
  readonly clock: Clock;
  readonly hubKey: SigningKey;
  readonly behaviour: HubBehaviour;
  readonly world: { readonly sessionNonce: Uint8Array; readonly epoch: bigint };
  readonly store: (frame: LogFrame) => { key: { taskId: string; attempt: number }; through: number; resend: boolean };
}

/** Attaches the hub's end of a connection. */
export function createHubSide({ hub, clock, hubKey, behaviour, world, store }: SideOptions) {
  const { epoch } = world;
  const frames: NodeTaskFrame[] = [];
  let sentSeq = 0n;
  let heartbeats = 0;
  let logStreams = 0;
  let isOver = false;
  let grantCount = 0;
  let logLink: Link | undefined;
  let healthLink: Link | undefined;
  void hub.closed.then(() => {
    isOver = true;
  });

  const send = (body: Parameters<typeof frameOf>[0]["body"]): void => {
    sentSeq += 1n;
    hub.send(frameOf({ seq: sentSeq, epoch, body }));
  };
  hub.onFrames((batch) => {
    for (const bytes of batch) {
      const frame = fromBinary(NodeTaskFrameSchema, bytes);
      if (Number(frame.seq) !== frames.length + 1)
        throw new CortexError("STREAM_GAP", "the node's numbers have a hole");
      frames.push(frame);
      if (frame.body.case === "hello" && behaviour.welcomes) {
        send({ case: "welcome", value: { epoch, unwanted: behaviour.unwanted } } as never);
      }
      if (frame.body.case === "response" && behaviour.acksResponses) {
        const { taskId, attempt } = frame.body.value;
        send({ case: "responseAck", value: { taskId, attempt } } as never);
      }
    }
  });

  const header = (spec: TaskSpec) => {
    grantCount += 1;
    const grantId = new Uint8Array(16);
    new DataView(grantId.buffer).setUint32(0, grantCount);
    return {
      grantId,
      hubId: HUB_ID,
      nodeId: NODE_ID,
      sessionNonce: world.sessionNonce,
      epoch,
      notBeforeMs: BigInt(clock.nowMs()),
      notAfterMs: BigInt(clock.nowMs() + 60_000),
      ...spec.header,
    };
  };
  const said = <C extends BodyCase>(kind: C, index?: number): BodyOf<C>[] => {
    const values = frames.flatMap(({ body }) =>
      body.case === kind ? [body.value as { readonly taskId?: string }] : [],
    );
    const meant = values.filter((value) => index === undefined || value.taskId === taskIdOf(index));
    return meant as unknown as BodyOf<C>[];
  };
  const grant = (spec: TaskSpec): SignedGrant => {
    const payload = toBinary(
      TaskGrantSchema,
      create(TaskGrantSchema, {
        header: header(spec),
        attempt: spec.attempt ?? 1,
        ownerId: "alice",
        task: {
          taskId: taskIdOf(spec.index),
          capabilityRequired: spec.skill ?? "probe",
          sessionId: SESSION_ID,
          inputJson: spec.inputBytes ?? Buffer.from(JSON.stringify(spec.input ?? {})),
          stdin: spec.stdin ?? false,
          timeoutMs: BigInt(spec.timeoutMs ?? 0),
          stallAfterMs: BigInt(spec.stallAfterMs ?? 0),
          cwd: spec.cwd ?? "",
          workspacePath: spec.workspacePath ?? "",
          sandbox: { level: spec.level ?? "", limits: { outputBytes: BigInt(spec.outputBytes ?? 0) } },
        },
      }),
    );
    return signGrant({ payload, payloadType: PAYLOAD_TYPES.taskGrant, key: spec.signer ?? hubKey });
  };
  const ackLog: HubConnection["ackLog"] = (index, throughSeq, options = {}) => {
    const log = { name: { case: "task" as const, value: { taskId: taskIdOf(index), attempt: 1 } } };
    const ack = create(LogAckSchema, { log, throughSeq: BigInt(throughSeq), ...options });
    logLink?.send(toBinary(LogAckSchema, ack));
  };

  const connection: HubConnection = {
    epoch,
    frames,
    get heartbeats() {
      return heartbeats;
    },
    get logStreams() {
      return logStreams;
    },
    get isOver() {
      return isOver;
    },
    async heard<C extends BodyCase>(kind: C, index?: number): Promise<BodyOf<C>> {
      const found = await waitUntil<{ readonly first: unknown }>(
        () => {
          const [first] = said(kind, index);
          return first === undefined ? undefined : { first };
        },
        `${kind} ${index ?? ""}`,
      );
      return found.first as BodyOf<C>;
    },
    said,
    grant,
    dispatch: (spec) => send({ case: "grant", value: grant(spec) }),
    sendGrant: (value) => send({ case: "grant", value }),
    cancel(index, attempt = 1) {
      const payload = toBinary(
        CancelGrantSchema,
        create(CancelGrantSchema, { header: header({ index }), taskId: taskIdOf(index), attempt, reason: "test" }),
      );
      send({ case: "grant", value: signGrant({ payload, payloadType: PAYLOAD_TYPES.cancelGrant, key: hubKey }) });
    },
    send,
    ackLog,
    closeLogs: () => logLink?.close(new CortexError("UNAVAILABLE", "the test closed the log stream")),
    sendRaw(stream, bytes) {
      const links = { tasks: hub, health: healthLink, logs: logLink };
      links[stream]?.send(bytes);
    },
    cut: (error = new CortexError("UNAVAILABLE", "the test cut the connection")) => hub.close(error),
  };

  return {
    connection,
    attachHealth(link: Link) {
      healthLink = link;
      link.onFrames((batch) => {
        for (const bytes of batch) {
          const beat = fromBinary(HeartbeatSchema, bytes);
          heartbeats += 1;
          if (!behaviour.answersHeartbeats) continue;
          const answer = create(LeaseAnswerSchema, {
            seq: beat.seq,
            epoch,
            leaseMs: 20_000,
            controlSentSeq: sentSeq + BigInt(behaviour.phantomFrames),
            controlReceivedSeq: BigInt(frames.length),
          });
          link.send(toBinary(LeaseAnswerSchema, answer));
        }
      });
    },
    attachLogs(link: Link) {
      logStreams += 1;
      logLink = link;
      link.onFrames((batch) => {
        for (const bytes of batch) {
          const { key, through, resend } = store(fromBinary(LogFrameSchema, bytes));
          if (!behaviour.acksLogs && !resend) continue;
          const log = { name: { case: "task" as const, value: key } };
          link.send(toBinary(LogAckSchema, create(LogAckSchema, { log, throughSeq: BigInt(through), resend })));
        }
      });
    },
  };
}
