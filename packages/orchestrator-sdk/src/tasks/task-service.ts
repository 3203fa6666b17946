/**
 * What the rest of the hub may do with tasks. The operation table is its main caller; `createTaskService` makes one.
 */
import type { NodeId, SessionId, TaskId } from "@cortex-mesh/protocol";
import type { Caller } from "../access/caller.js";
import type {
  JsonObject,
  OutputRecord,
  TaskEffect,
  TaskEventKind,
  TaskRecord,
  TaskRequestRecord,
} from "../store/records.js";

/** A dispatch after its schema was checked. */
export interface SubmitRequest extends Omit<TaskRequestRecord, "traceparent"> {
  readonly sessionId: SessionId;
  readonly effect: TaskEffect | undefined;
  readonly idempotencyKey: string | undefined;
  readonly traceparent?: string | undefined;
}

/** The answer to a dispatch. */
export interface Submitted {
  readonly task: TaskRecord;
  /** The idempotency key was seen before: this is the earlier task, and nothing was started. */
  readonly isRepeat: boolean;
}

/** A task with everything that its resource shows. */
export interface TaskView {
  readonly task: TaskRecord;
  readonly request: TaskRequestRecord;
  readonly output: OutputRecord;
}

/** One event as a reader gets it: output events carry their bytes. */
export interface TaskStreamEvent {
  readonly seq: number;
  readonly kind: TaskEventKind;
  readonly atMs: number;
  /** Content of `state`, `progress`, `artifact` and `gap` events. */
  readonly data: JsonObject | undefined;
  /** Bytes of `stdout` and `stderr` events. */
  readonly bytes: Uint8Array | undefined;
}

/** The raw bytes of one output stream, as far as they are committed. */
export interface OutputContent {
  readonly sizeBytes: number;
  /** Reads `[start, end)` in pieces of at most 256 KiB. */
  read(start: number, end: number): AsyncIterable<Uint8Array>;
}

/** An attached node as placement sees it for one task. */
export interface TaskCandidate {
  readonly nodeId: NodeId;
  readonly name: string;
  /** By what it registered it meets every need of the task. */
  readonly isAble: boolean;
  readonly isOnline: boolean;
  readonly isDraining: boolean;
  /** It did not keep the task, and is asked again a little later. */
  readonly isPaused: boolean;
  /** 0 while it is offline. */
  readonly freeSlots: number;
  /** It can take the task now. */
  readonly isEligible: boolean;
  /** What is in the way, as a sentence. */
  readonly reason: string;
}

/** Why a task waits, or why it went where it went. */
export interface TaskExplanation {
  readonly taskId: TaskId;
  readonly state: TaskRecord["state"];
  readonly summary: string;
  /** Each attached node, and what is in the way there. */
  readonly candidates: readonly TaskCandidate[];
  readonly notes: TaskRecord["notes"];
}

/** Tasks of a hub. Every method throws `NOT_FOUND` for what the caller does not own. */
export interface TaskService {
  /**
   * Accepts a task durably.
   *
   * @throws CortexError `BAD_REQUEST`, `NODE_REVOKED`, `NODE_NOT_ATTACHED`, `IDEMPOTENCY_CONFLICT`, `QUOTA_EXCEEDED`
   */
  submit(caller: Caller, request: SubmitRequest): Promise<Submitted>;
  /** One task with its request and output figures. */
  get(caller: Caller, taskId: TaskId): Promise<TaskView>;
  /** Tasks of a session, in order of submission. */
  list(
    caller: Caller,
    sessionId: SessionId,
    page: { readonly after?: string | undefined; readonly limit: number },
  ): Promise<TaskView[]>;
  /** Asks for the end of a task; idempotent, also after the end. */
  cancel(caller: Caller, taskId: TaskId): Promise<TaskView>;
  /** Settles an indeterminate task, once. @throws CortexError `ALREADY_ENDED` for any other state. */
  resolve(caller: Caller, taskId: TaskId, state: "succeeded" | "failed" | "cancelled"): Promise<TaskView>;
  /** Why the task waits, or why it went where it went. */
  explain(caller: Caller, taskId: TaskId): Promise<TaskExplanation>;
  /**
   * Hands bytes to standard input; a body of any length streams. Resolves when the process has taken them.
   *
   * @throws CortexError `UNAVAILABLE` when no node runs the task for some seconds, or its process takes nothing for longer;
   * `details.acceptedBytes` says how many of the bytes count as taken, and the rest can be given again. They hold as long as the
   * hub runs: over its restart, `offset`, counted from the start of the attempt, says where the bytes go, and
   * `PRECONDITION_FAILED` gives the right one in `details.offset`. `ALREADY_ENDED`, `QUOTA_EXCEEDED`, `BAD_REQUEST`
   */
  input(
    caller: Caller,
    taskId: TaskId,
    input: {
      readonly data: AsyncIterable<Uint8Array>;
      readonly eof: boolean;
      readonly offset?: number | undefined;
      readonly signal?: AbortSignal;
    },
  ): Promise<{ acceptedBytes: number }>;
  /** Replays events after `afterSeq`, then follows; ends after the final state. Yields what is there as one batch. */
  events(
    caller: Caller,
    taskId: TaskId,
    from: { readonly afterSeq: number; readonly signal?: AbortSignal | undefined },
  ): AsyncIterable<readonly TaskStreamEvent[]>;
  /** The bytes of one output stream so far. */
  output(caller: Caller, taskId: TaskId, stream: "stdout" | "stderr"): Promise<OutputContent>;
}
