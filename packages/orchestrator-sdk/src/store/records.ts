/**
 * What a hub remembers, as plain values. Times are milliseconds since the Unix epoch on the hub's clock.
 *
 * Every record with a `revision` counts its writes from 1; a write names the revision it replaces.
 */
import type { InviteId, NodeId, SessionId, TaskId, UserId } from "@cortex-mesh/protocol";

/** JSON as it is stored and sent. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
/** A JSON object. */
export type JsonObject = { readonly [key: string]: Json };

/** A user of the reference hub; a Hub with its own users stores none. */
export interface UserRecord {
  readonly userId: UserId;
  /** SHA-256 of the bearer token, hex. */
  readonly tokenSha256: string;
  readonly isAdmin: boolean;
  readonly createdAtMs: number;
}

/** A single-use invitation. The secret itself is never stored. */
export interface InviteRecord {
  readonly inviteId: InviteId;
  readonly revision: number;
  readonly ownerId: UserId;
  readonly name: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  /** HMAC of the secret under the hub's pepper, hex. */
  readonly secretHmac: string;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  readonly revokedAtMs: number | undefined;
  readonly usedAtMs: number | undefined;
  /** Public key that spent it (hex), and the node it became. */
  readonly usedByKey: string | undefined;
  readonly nodeId: NodeId | undefined;
  readonly failedTries: number;
}

/** An enrolled node. */
export interface NodeRecord {
  readonly nodeId: NodeId;
  readonly revision: number;
  readonly ownerId: UserId;
  readonly name: string;
  /** Those of its invite, and the ones that it reported itself; the invite's stand over them. */
  readonly labels: Readonly<Record<string, string>>;
  /** Those of its invite alone. @default all that it has */
  readonly inviteLabels?: Readonly<Record<string, string>> | undefined;
  /** Ed25519 public key, hex. */
  readonly publicKey: string;
  readonly createdAtMs: number;
  readonly revokedAtMs: number | undefined;
  /** Number of the newest connection; every write on behalf of a connection compares it. */
  readonly epoch: number;
  readonly bootId: string | undefined;
  readonly sessionNonce: string | undefined;
  readonly version: string | undefined;
  /** As registered: the JSON form of `cortex.agent.v1.Capabilities`. */
  readonly capabilities: JsonObject | undefined;
  readonly maxTasks: number;
  readonly isDraining: boolean;
  readonly connectedAtMs: number | undefined;
  readonly lastSeenAtMs: number | undefined;
  readonly reconnects: number;
}

/** A node's place in a session. */
export interface SessionNode {
  readonly nodeId: NodeId;
  /** Path of the workspace below the node's workspace root. */
  readonly path: string;
  readonly attachedAtMs: number;
}

/** A session: an owner, attached nodes, one workspace. */
export interface SessionRecord {
  readonly sessionId: SessionId;
  readonly revision: number;
  readonly ownerId: UserId;
  readonly name: string;
  readonly status: "active" | "closed";
  readonly nodes: readonly SessionNode[];
  readonly parentId: SessionId | undefined;
  readonly createdAtMs: number;
}

/** States of a task; the last six are final. */
export type TaskState =
  | "queued"
  | "leased"
  | "running"
  | "succeeded"
  | "failed"
  | "cancelled"
  | "timed_out"
  | "rejected"
  | "indeterminate";

/** Whether a task may be started more than once. */
export type TaskEffect = "once" | "idempotent";

/** Why a task ended as it did. */
export type TaskCause =
  | "exit"
  | "timeout"
  | "oom"
  | "pids"
  | "cpu"
  | "output"
  | "disk"
  | "killed"
  | "setup_failed"
  | "node_lost";

/** What was asked for; never changes after submit. */
export interface TaskRequestRecord {
  readonly skill: string;
  readonly input: Json;
  /** The node that was named, if one was. */
  readonly nodeId: NodeId | undefined;
  readonly requires: JsonObject | undefined;
  readonly cwd: string | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly secrets: readonly string[];
  readonly stdin: boolean;
  readonly pty: { readonly columns: number; readonly rows: number } | undefined;
  readonly timeoutMs: number | undefined;
  readonly queueTimeoutMs: number | undefined;
  readonly sandbox: JsonObject | undefined;
  readonly traceparent: string | undefined;
}

/** One run of a skill. */
export interface TaskRecord {
  readonly taskId: TaskId;
  readonly revision: number;
  readonly sessionId: SessionId;
  readonly ownerId: UserId;
  readonly effect: TaskEffect;
  readonly idempotencyKey: string | undefined;
  /** SHA-256 of the canonical request, hex; tells a repeat from another request with the same key. */
  readonly requestSha256: string;
  readonly createdAtMs: number;
  /** From when on it waits for a node: its submission, or the loss of its last attempt that ran. */
  readonly queuedAtMs: number;

  readonly state: TaskState;
  readonly disconnected: boolean;
  readonly cancelling: boolean;
  readonly stalled: boolean;
  /** Try number; 0 before the first lease. Every report about the task compares it. */
  readonly attempt: number;
  /** Where the current attempt is, and under which connection it was leased. */
  readonly nodeId: NodeId | undefined;
  readonly epoch: number;
  readonly leasedAtMs: number | undefined;
  readonly startedAtMs: number | undefined;
  readonly finishedAtMs: number | undefined;
  readonly disconnectedAtMs: number | undefined;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly value: Json;
  readonly error: { readonly code: string; readonly message: string } | undefined;
  readonly cause: TaskCause | undefined;
  readonly isolation: JsonObject | undefined;
  /** What happened to its placement, newest last, bounded; answers `explain`. */
  readonly notes: readonly { readonly atMs: number; readonly text: string }[];
}

/** What happened in a task, in the order in which the hub committed it. */
export type TaskEventKind = "state" | "stdout" | "stderr" | "progress" | "artifact" | "gap";

/** An event before it has its number. */
export interface NewTaskEvent {
  readonly kind: TaskEventKind;
  readonly atMs: number;
  /** `state`, `progress`, `artifact`, `gap`: the content. */
  readonly data: Json;
  /** `stdout`, `stderr`: where the bytes lie in the stream's file. */
  readonly offset: number;
  readonly length: number;
}

/** An event with its number: from 1, without gaps, over everything that happened in the task. */
export interface TaskEvent extends NewTaskEvent {
  readonly seq: number;
}

/** How far the output of a task is committed. */
export interface OutputRecord {
  readonly taskId: TaskId;
  readonly lastSeq: number;
  readonly stdoutBytes: number;
  readonly stderrBytes: number;
  /** The attempt whose log is being received, and its last record that is committed. */
  readonly attempt: number;
  readonly originSeq: number;
  /** Some of its output is missing, in any attempt: one of its events is a `gap`. */
  readonly hasGap: boolean;
  readonly complete: boolean;
}

/** One event of a user's feed before it has its number. */
export interface NewFeedEvent {
  /** `node.online`, `task.running`, … */
  readonly kind: string;
  readonly atMs: number;
  readonly data: JsonObject;
}

/** One event of a user's feed. */
export interface FeedEvent extends NewFeedEvent {
  /** From 1 for each user, allocated in the transaction. */
  readonly seq: number;
}
