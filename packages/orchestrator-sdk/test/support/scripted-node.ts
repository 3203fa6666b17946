/** The other end of a hub's links: says what a test tells it to, and keeps what the hub says. Speaks the real frames. */
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type CortexError, type Link, type NodeId, PAYLOAD_TYPES, type TaskId } from "@cortex-mesh/protocol";
import type { HeldState } from "@cortex-mesh/protocol/gen";
import {
  type CancelGrant,
  CancelGrantSchema,
  HeartbeatSchema,
  type HubTaskFrame,
  HubTaskFrameSchema,
  type LeaseAnswer,
  LeaseAnswerSchema,
  type LogAck,
  LogAckSchema,
  LogFrameSchema,
  LogKind,
  NodeTaskFrameSchema,
  Outcome,
  type RegistrationRequest,
  RegistrationRequestSchema,
  type RegistrationResponse,
  type TaskGrant,
  TaskGrantSchema,
} from "@cortex-mesh/protocol/gen";
import { createMemoryLinkPair, type LinkFaults } from "@cortex-mesh/testing";
import type { NodeGateway } from "../../src/link/gateway.js";
import { until } from "./until.js";

type NodeFrameBody = NonNullable<MessageInitShape<typeof NodeTaskFrameSchema>["body"]>;
type HubBody = HubTaskFrame["body"];
type BodyCase = NonNullable<HubBody["case"]>;
type BodyOf<Case extends BodyCase> = Extract<HubBody, { readonly case: Case }>["value"];

/** An attempt as a hello names it. */
export interface HeldInit {
  readonly taskId: string;
  readonly attempt: number;
  readonly state: HeldState;
  readonly inputOffset?: bigint;
}

/** Names an attempt. */
export interface Attempt {
  readonly taskId: TaskId;
  readonly attempt: number;
}

export interface ScriptedNode {
  readonly nodeId: NodeId;
  readonly epoch: number;
  readonly registration: RegistrationResponse;
  readonly received: readonly HubTaskFrame[];
  readonly leases: readonly LeaseAnswer[];
  readonly acks: readonly LogAck[];
  /** Why the control stream ended: the reason, `null` for an orderly end, undefined while it is open. */
  readonly tasksClosed: CortexError | null | undefined;
  readonly logsClosed: CortexError | null | undefined;
  readonly tasks: Link;
  readonly health: Link;
  openHealth(): Link;
  openLogs(): Link;
  /** Frames get the next number, unless one is given. */
  say(body: NodeFrameBody, seq?: bigint): void;
  hello(held?: readonly HeldInit[]): Promise<void>;
  bodies<Case extends BodyCase>(name: Case): BodyOf<Case>[];
  grants(): TaskGrant[];
  cancels(): CancelGrant[];
  started(attempt: Attempt): void;
  ended(
    attempt: Attempt,
    end?: { readonly outcome?: Outcome; readonly exitCode?: number; readonly lastLogSeq?: number },
  ): void;
  declined(attempt: Attempt, isFinal: boolean): void;
  heartbeat(position?: { readonly sent?: number; readonly received?: number }): void;
  log(
    attempt: Attempt,
    record: {
      readonly seq: number;
      readonly kind?: LogKind;
      readonly text?: string;
      readonly bytes?: Uint8Array;
      /** Last record that is lost; the frame is a gap. */
      readonly throughSeq?: number;
    },
  ): void;
  /** The highest record of the attempt that was acknowledged. */
  acked(attempt: Attempt): number;
}

export interface ScriptedNodeOptions {
  readonly gateway: NodeGateway;
  readonly nodeId: NodeId;
  readonly epoch: number;
  readonly request?: Partial<MessageInitShape<typeof RegistrationRequestSchema>>;
  readonly faults?: LinkFaults;
  /** When the token of the registration is over. @default after its whole life */
  readonly expiresAtMs?: number;
}

export function registrationOf(nodeId: NodeId, changes: ScriptedNodeOptions["request"] = {}): RegistrationRequest {
  return create(RegistrationRequestSchema, {
    nodeId,
    version: "0.1.0",
    protocolMin: 1,
    protocolMax: 1,
    bootId: "boot",
    sessionNonce: new Uint8Array(16).fill(7),
    maxTasks: 4,
    capabilities: { os: "linux", arch: "x64", skills: [{ name: "shell" }] },
    ...changes,
  } as MessageInitShape<typeof RegistrationRequestSchema>);
}

/** Registers and opens the control stream; the hello is the test's to say. */
export async function connectScriptedNode(options: ScriptedNodeOptions): Promise<ScriptedNode> {
  const { gateway, nodeId, epoch } = options;
  const credentials = { nodeId, epoch, expiresAtMs: options.expiresAtMs ?? Number.MAX_SAFE_INTEGER };
  const registration = await gateway.register(credentials, registrationOf(nodeId, options.request));
  const received: HubTaskFrame[] = [];
  const leases: LeaseAnswer[] = [];
  const acks: LogAck[] = [];
  const ends: { tasks?: CortexError | null; logs?: CortexError | null } = {};
  const open = (how: (link: Link) => void, faults: LinkFaults = {}): Link => {
    const [mine, theirs] = createMemoryLinkPair(faults);
    how(theirs);
    return mine;
  };
  const tasks = open((link) => gateway.openTasks(credentials, link), options.faults);
  tasks.onFrames((frames) => void received.push(...frames.map((bytes) => fromBinary(HubTaskFrameSchema, bytes))));
  void tasks.closed.then((reason) => (ends.tasks = reason ?? null));
  let health: Link | undefined;
  let logs: Link | undefined;
  let sentSeq = 0n;
  const say = (body: NodeFrameBody, seq?: bigint): void => {
    if (seq === undefined) sentSeq += 1n;
    tasks.send(
      toBinary(NodeTaskFrameSchema, create(NodeTaskFrameSchema, { seq: seq ?? sentSeq, epoch: BigInt(epoch), body })),
    );
  };
  const openHealth = (): Link => {
    health = open((link) => gateway.openHealth(credentials, link));
    health.onFrames((frames) => void leases.push(...frames.map((bytes) => fromBinary(LeaseAnswerSchema, bytes))));
    return health;
  };
  const openLogs = (): Link => {
    const link = open((end) => gateway.openLogs(credentials, end));
    logs = link;
    delete ends.logs;
    link.onFrames((frames) => void acks.push(...frames.map((bytes) => fromBinary(LogAckSchema, bytes))));
    void link.closed.then((reason) => {
      if (logs === link) ends.logs = reason ?? null;
    });
    return link;
  };
  const bodies = <Case extends BodyCase>(name: Case): BodyOf<Case>[] =>
    received.flatMap(({ body }) => (body.case === name ? [body.value as BodyOf<Case>] : []));
  return {
    nodeId,
    epoch,
    registration,
    received,
    leases,
    acks,
    tasks,
    get tasksClosed() {
      return ends.tasks;
    },
    get logsClosed() {
      return ends.logs;
    },
    get health() {
      return health ?? openHealth();
    },
    openHealth,
    openLogs,
    say,
    async hello(held = []) {
      say({ case: "hello", value: { held: held.map((item) => ({ inputOffset: 0n, ...item })), bootId: "boot" } });
      openHealth();
      await until(() => bodies("welcome").length > 0, "the welcome");
    },
    bodies,
    grants: () =>
      bodies("grant").flatMap((grant) =>
        grant.payloadType === PAYLOAD_TYPES.taskGrant ? [fromBinary(TaskGrantSchema, grant.payload)] : [],
      ),
    cancels: () =>
      bodies("grant").flatMap((grant) =>
        grant.payloadType === PAYLOAD_TYPES.cancelGrant ? [fromBinary(CancelGrantSchema, grant.payload)] : [],
      ),
    started: (attempt) => say({ case: "started", value: { ...attempt, isolation: { level: "none", driver: "none" } } }),
    ended: (attempt, { outcome = Outcome.SUCCEEDED, exitCode = 0, lastLogSeq = 0 } = {}) =>
      say({
        case: "response",
        value: { ...attempt, outcome, exitCode, cause: "exit", lastLogSeq: BigInt(lastLogSeq) },
      }),
    declined: (attempt, isFinal) =>
      say({ case: "declined", value: { ...attempt, errorCode: "GRANT_REFUSED", errorMessage: "no", final: isFinal } }),
    heartbeat({ sent = Number(sentSeq), received: got = received.length } = {}) {
      const frame = create(HeartbeatSchema, {
        seq: 1n,
        epoch: BigInt(epoch),
        controlSentSeq: BigInt(sent),
        controlReceivedSeq: BigInt(got),
      });
      (health ?? openHealth()).send(toBinary(HeartbeatSchema, frame));
    },
    log({ taskId, attempt }, { seq, throughSeq, kind = LogKind.STDOUT, text = "", bytes = Buffer.from(text) }) {
      const gap = { reason: "lost", throughSeq: BigInt(throughSeq ?? 0) };
      const log = { name: { case: "task", value: { taskId, attempt } } } as const;
      const frame = create(LogFrameSchema, {
        log,
        seq: BigInt(seq),
        kind: throughSeq === undefined ? kind : LogKind.GAP,
        atMs: 5n,
        data: bytes,
        epoch: BigInt(epoch),
        ...(throughSeq === undefined ? {} : { gap }),
      });
      (logs ?? openLogs()).send(toBinary(LogFrameSchema, frame));
    },
    acked: ({ taskId, attempt }) =>
      acks.reduce((through, { log, throughSeq, refused }) => {
        const name = log?.name.case === "task" ? log.name.value : undefined;
        const isMine = name?.taskId === taskId && name.attempt === attempt && !refused;
        return isMine ? Math.max(through, Number(throughSeq)) : through;
      }, 0),
  };
}
