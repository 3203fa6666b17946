/**
 * From a received grant to something that may be acted on: verify, parse strictly, compare with this connection.
 *
 * Pure. What is left to the caller: storing the grant id before acting, comparing the attempt with what is stored, and
 * the node's own policy.
 */
import { isEqualSecret } from "../encoding.js";
import {
  type CancelGrant,
  CancelGrantSchema,
  type GrantHeader,
  type SignedGrant,
  type TaskGrant,
  TaskGrantSchema,
  type TaskRequest,
} from "../gen/cortex/agent/v1/agent_pb.js";
import { type HubId, isId, type NodeId, type TaskId } from "../ids.js";
import { verifyGrant } from "./grant.js";
import type { Keyring } from "./keyring.js";
import { PAYLOAD_TYPES } from "./payload-types.js";
import { grantRefused } from "./refusal.js";
import { parseStrict } from "./strict-payload.js";

/** Clocks of hub and node may differ by this much without a grant being refused. */
export const DEFAULT_GRANT_LEEWAY_MS = 60_000;
/** Length of a grant id and of a connection's nonce. */
export const GRANT_ID_BYTES = 16;
/** Length of the nonce that a node chooses for a connection. */
export const SESSION_NONCE_BYTES = 16;

/** Extensions that this version understands in `critical`; none yet. */
const KNOWN_CRITICAL: ReadonlySet<string> = new Set();

/** The connection that a grant has to be meant for. */
export interface GrantExpectation {
  readonly hubId: HubId;
  readonly nodeId: NodeId;
  /** The nonce of this connection, 16 bytes. */
  readonly sessionNonce: Uint8Array;
  readonly epoch: bigint;
  /** Wall clock, milliseconds since the Unix epoch. */
  readonly nowMs: number;
  /** @default {@link DEFAULT_GRANT_LEEWAY_MS} */
  readonly leewayMs?: number;
  /** Hash of the policy in force; compared with a task grant's when it is given. */
  readonly policySha256?: Uint8Array;
}

/** A received grant with what to hold it against. */
export interface OpenGrantOptions {
  readonly grant: SignedGrant;
  readonly keys: Keyring;
  readonly expect: GrantExpectation;
}

/** A task that may be stored and run. */
export interface OpenedTaskGrant {
  /** Hex, 32 digits. */
  readonly grantId: string;
  readonly header: GrantHeader;
  readonly taskId: TaskId;
  /** From 1. */
  readonly attempt: number;
  readonly task: TaskRequest;
  readonly ownerId: string;
  readonly policySha256: Uint8Array;
}

/** A cancel that may be acted on. */
export interface OpenedCancelGrant {
  /** Hex, 32 digits. */
  readonly grantId: string;
  readonly header: GrantHeader;
  readonly taskId: TaskId;
  /** From 1. */
  readonly attempt: number;
  readonly reason: string;
}

/** Opens a task grant. @throws CortexError `GRANT_REFUSED`, with what failed in `details.reason`. */
export function openTaskGrant({ grant, keys, expect }: OpenGrantOptions): OpenedTaskGrant {
  const payload = verifyGrant({ grant, payloadType: PAYLOAD_TYPES.taskGrant, keys });
  const body: TaskGrant = parseStrict(TaskGrantSchema, payload);
  const header = checkHeader(body.header, expect);
  if (body.task === undefined) throw grantRefused("task", "it names no task");
  const taskId = checkTarget(body.task.taskId, body.attempt);
  if (!isId("ses", body.task.sessionId)) throw grantRefused("task", "its session id is malformed");
  if (expect.policySha256 !== undefined && !isEqualSecret(body.policySha256, expect.policySha256)) {
    throw grantRefused("policy", "it was made under another policy than the one in force");
  }
  return {
    grantId: Buffer.from(header.grantId).toString("hex"),
    header,
    taskId,
    attempt: body.attempt,
    task: body.task,
    ownerId: body.ownerId,
    policySha256: body.policySha256,
  };
}

/** Opens a cancel grant. @throws CortexError `GRANT_REFUSED`, with what failed in `details.reason`. */
export function openCancelGrant({ grant, keys, expect }: OpenGrantOptions): OpenedCancelGrant {
  const payload = verifyGrant({ grant, payloadType: PAYLOAD_TYPES.cancelGrant, keys });
  const body: CancelGrant = parseStrict(CancelGrantSchema, payload);
  const header = checkHeader(body.header, expect);
  const taskId = checkTarget(body.taskId, body.attempt);
  const grantId = Buffer.from(header.grantId).toString("hex");
  return { grantId, header, taskId, attempt: body.attempt, reason: body.reason };
}

function checkHeader(header: GrantHeader | undefined, expect: GrantExpectation): GrantHeader {
  if (header === undefined) throw grantRefused("header", "it has no header");
  if (header.grantId.byteLength !== GRANT_ID_BYTES) throw grantRefused("header", "its id is malformed");
  if (header.critical.some((name) => !KNOWN_CRITICAL.has(name))) {
    throw grantRefused("critical", "it depends on an extension that this version does not know");
  }
  if (header.hubId !== expect.hubId) throw grantRefused("hub", "it is of another hub");
  if (header.nodeId !== expect.nodeId) throw grantRefused("node", "it is meant for another node");
  if (!isEqualSecret(header.sessionNonce, expect.sessionNonce)) {
    throw grantRefused("nonce", "it was made for another connection");
  }
  if (header.epoch !== expect.epoch) {
    throw grantRefused("epoch", `it is of epoch ${header.epoch}, this connection has epoch ${expect.epoch}`);
  }
  checkTime(header, expect);
  return header;
}

function checkTime(header: GrantHeader, expect: GrantExpectation): void {
  const nowMs = BigInt(Math.floor(expect.nowMs));
  const leewayMs = BigInt(expect.leewayMs ?? DEFAULT_GRANT_LEEWAY_MS);
  if (header.notBeforeMs > nowMs + leewayMs)
    throw grantRefused("not_yet_valid", "it is not valid yet; compare the clocks");
  if (header.notAfterMs < nowMs - leewayMs) throw grantRefused("expired", "it has expired; compare the clocks");
}

function checkTarget(taskId: string, attempt: number): TaskId {
  if (!isId("task", taskId)) throw grantRefused("task", "its task id is malformed");
  if (attempt < 1) throw grantRefused("attempt", "it has no attempt number");
  return taskId;
}
