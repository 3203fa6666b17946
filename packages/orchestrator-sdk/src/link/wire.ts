/** Between the messages of the wire and the records of the hub. Pure; what a peer sends is checked here. */
import { create, type DescMessage, fromBinary, type JsonValue, type MessageShape, toJson } from "@bufbuild/protobuf";
import { CortexError, isId, type TaskId } from "@cortex-mesh/protocol";
import {
  type Capabilities,
  CapabilitiesSchema,
  Effect,
  type HeldAttempt,
  HeldState,
  type IsolationReport,
  type LogFrame,
  LogKind,
  Outcome,
  type TaskRequest,
  TaskRequestSchema,
  type TaskResponse,
} from "@cortex-mesh/protocol/gen";
import type { Json, JsonObject, SessionRecord, TaskCause, TaskRecord, TaskRequestRecord } from "../store/records.js";
import type { OutputPiece } from "../tasks/output-plan.js";
import type { Held } from "../tasks/recover.js";
import type { EndReport } from "../tasks/reports.js";

const OUTCOMES: Readonly<Record<Outcome, EndReport["state"] | undefined>> = {
  [Outcome.UNSPECIFIED]: undefined,
  [Outcome.SUCCEEDED]: "succeeded",
  [Outcome.FAILED]: "failed",
  [Outcome.CANCELLED]: "cancelled",
  [Outcome.TIMED_OUT]: "timed_out",
  [Outcome.REJECTED]: "rejected",
  [Outcome.INDETERMINATE]: "indeterminate",
};

const CAUSES: ReadonlySet<string> = new Set<TaskCause>([
  "exit",
  "timeout",
  "oom",
  "pids",
  "cpu",
  "output",
  "disk",
  "killed",
  "setup_failed",
  "node_lost",
]);

const HELD_STATES: Readonly<Record<HeldState, Held["state"] | undefined>> = {
  [HeldState.UNSPECIFIED]: undefined,
  [HeldState.STORED]: "stored",
  [HeldState.RUNNING]: "running",
  [HeldState.FINISHED]: "finished",
  [HeldState.NEVER_STARTED]: "neverStarted",
};

const LOG_KINDS: Readonly<Partial<Record<LogKind, OutputPiece["kind"]>>> = {
  [LogKind.STDOUT]: "stdout",
  [LogKind.STDERR]: "stderr",
  [LogKind.PROGRESS]: "progress",
  [LogKind.ARTIFACT]: "artifact",
  [LogKind.GAP]: "gap",
};

/** A frame of a node. @throws CortexError `BAD_REQUEST` for bytes that are none */
export function readFrame<Desc extends DescMessage>(schema: Desc, bytes: Uint8Array): MessageShape<Desc> {
  try {
    return fromBinary(schema, bytes);
  } catch (cause) {
    throw new CortexError("BAD_REQUEST", `the node sent bytes that are no ${schema.name}`, { cause });
  }
}

/** A task id from a node. @throws CortexError `BAD_REQUEST` */
export function readTaskId(value: string): TaskId {
  if (isId("task", value)) return value;
  throw new CortexError("BAD_REQUEST", "the node named a malformed task id");
}

/** A number of the wire that has to be a safe integer. @throws CortexError `BAD_REQUEST` */
export function readCount(value: bigint): number {
  const number = Number(value);
  if (Number.isSafeInteger(number) && number >= 0) return number;
  throw new CortexError("BAD_REQUEST", "the node sent a number that is out of range");
}

/** Capabilities as the store keeps them and users see them: every field there, byte counts as numbers. */
export function readCapabilities(capabilities: Capabilities | undefined): JsonObject {
  const found = capabilities ?? create(CapabilitiesSchema);
  const { disk, memoryBytes } = found;
  const json = toJson(CapabilitiesSchema, found, { alwaysEmitImplicit: true }) as JsonObject;
  return {
    ...json,
    memoryBytes: readCount(memoryBytes),
    disk: { totalBytes: readCount(disk?.totalBytes ?? 0n), freeBytes: readCount(disk?.freeBytes ?? 0n) },
    gpus: found.gpus.map((gpu) => ({ vendor: gpu.vendor, model: gpu.model, memoryBytes: readCount(gpu.memoryBytes) })),
    skills: found.skills.map(({ name, version, ...schemas }) => ({
      name,
      version,
      inputSchema: readSchema(schemas.inputSchemaJson),
      outputSchema: readSchema(schemas.outputSchemaJson),
    })),
  };
}

/** A schema that is not JSON is one that nobody can use: it is left out. */
function readSchema(text: string): Json {
  try {
    return text === "" ? null : (JSON.parse(text) as Json);
  } catch {
    return null;
  }
}

/** The attempts of a hello. */
export function readHeld(held: readonly HeldAttempt[]): Held[] {
  return held.map((item) => {
    const state = HELD_STATES[item.state];
    if (state === undefined) throw new CortexError("BAD_REQUEST", "the node sent an attempt without a state");
    return { taskId: readTaskId(item.taskId), attempt: item.attempt, state };
  });
}

/** The isolation report of a started or ended attempt. */
export function readIsolation(report: IsolationReport | undefined): JsonObject | undefined {
  if (report === undefined) return undefined;
  const { level, driver, enforced, workspacePath } = report;
  return { level, driver, enforced: { ...enforced }, workspacePath };
}

/** The end of an attempt. @throws CortexError `BAD_REQUEST` */
export function readEnd(response: TaskResponse): EndReport {
  const state = OUTCOMES[response.outcome];
  if (state === undefined) throw new CortexError("BAD_REQUEST", "the node sent a result without an outcome");
  return {
    state,
    exitCode: response.exitCode ?? null,
    signal: response.signal === "" ? null : response.signal,
    value: readJson(response.valueJson),
    error: response.errorCode === "" ? undefined : { code: response.errorCode, message: response.errorMessage },
    cause: CAUSES.has(response.cause) ? (response.cause as TaskCause) : undefined,
    isolation: readIsolation(response.isolation),
    lastLogSeq: readCount(response.lastLogSeq),
  };
}

/** One record of an output log. @throws CortexError `BAD_REQUEST` */
export function readPiece(frame: LogFrame): OutputPiece {
  const kind = LOG_KINDS[frame.kind];
  if (kind === undefined) throw new CortexError("BAD_REQUEST", "the node sent a log record of an unknown kind");
  const base = { seq: readCount(frame.seq), kind, atMs: Number(frame.atMs), bytes: frame.data };
  if (kind === "stdout" || kind === "stderr") return { ...base, data: null };
  if (kind !== "gap") return { ...base, data: readJson(frame.data) };
  const throughSeq = Math.max(base.seq, readCount(frame.gap?.throughSeq ?? 0n));
  return { ...base, throughSeq, data: { bytes: Number(frame.gap?.bytes ?? 0n), reason: frame.gap?.reason ?? "" } };
}

function readJson(bytes: Uint8Array): Json {
  if (bytes.byteLength === 0) return null;
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) as Json;
  } catch (error) {
    throw new CortexError("BAD_REQUEST", "the node sent a value that is not JSON", { cause: error });
  }
}

/** What a grant says of a task. */
export function writeTaskRequest(
  task: TaskRecord,
  request: TaskRequestRecord,
  session: SessionRecord | undefined,
): TaskRequest {
  const workspacePath = session?.nodes.find(({ nodeId }) => nodeId === task.nodeId)?.path ?? "";
  const sandbox = request.sandbox === undefined ? {} : { sandbox: writeSandbox(request.sandbox) };
  return create(TaskRequestSchema, {
    taskId: task.taskId,
    idempotencyKey: task.idempotencyKey ?? "",
    capabilityRequired: request.skill,
    sessionId: task.sessionId,
    inputJson: new TextEncoder().encode(JSON.stringify(request.input)),
    cwd: request.cwd ?? "",
    env: { ...request.env },
    secrets: [...request.secrets],
    stdin: request.stdin,
    timeoutMs: BigInt(request.timeoutMs ?? 0),
    effect: task.effect === "idempotent" ? Effect.IDEMPOTENT : Effect.ONCE,
    workspacePath,
    traceparent: request.traceparent ?? "",
    ...(request.pty === undefined ? {} : { pty: { ...request.pty } }),
    ...sandbox,
  });
}

type SandboxInit = NonNullable<Parameters<typeof create<typeof TaskRequestSchema>>[1]>["sandbox"];

/** The `sandbox` of a dispatch; its schema was checked when it was submitted. */
function writeSandbox(sandbox: JsonObject): SandboxInit & object {
  const limits = asObject(sandbox["limits"]);
  const network = sandbox["network"];
  const allow = asObject(network)["allow"];
  const mode = typeof network === "string" ? network : "allow";
  const rules = Array.isArray(allow) ? allow.map(asObject) : [];
  return {
    level: typeof sandbox["level"] === "string" ? sandbox["level"] : "",
    ...(network === undefined
      ? {}
      : {
          network: {
            mode,
            allow: rules.map((rule) => ({ host: String(rule["host"]), ports: asNumbers(rule["ports"]) })),
          },
        }),
    limits: {
      memoryBytes: BigInt(asNumber(limits["memBytes"])),
      cpuRatio: asNumber(limits["cpuRatio"]),
      pids: asNumber(limits["pids"]),
      outputBytes: BigInt(asNumber(limits["outputBytes"])),
      fileBytes: BigInt(asNumber(limits["fileBytes"])),
      diskBytes: BigInt(asNumber(limits["diskBytes"])),
      wallMs: BigInt(asNumber(limits["wallMs"])),
    },
  };
}

function asObject(value: Json | JsonValue | undefined): JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
}

function asNumber(value: Json | undefined): number {
  return typeof value === "number" ? value : 0;
}

function asNumbers(value: Json | undefined): number[] {
  return Array.isArray(value) ? value.map((item) => asNumber(item as Json)) : [];
}
