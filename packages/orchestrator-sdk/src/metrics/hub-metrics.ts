/**
 * What the rooms of a hub tell about their work, in the words of that work; which system keeps the figures they do not know.
 *
 * Invariants:
 * - F1 nothing here names a user, a node, a session or a task, and every value that becomes a label comes from a closed set.
 * - F2 telling costs no more than a few sums in memory, and never throws.
 */
import type { CortexErrorCode } from "@cortex-mesh/protocol";
import type { TaskRecord } from "../store/records.js";
import type { CommitFigures } from "../store/sql/transaction-queue.js";

/** A reading of all figures, as it is answered to a collector. */
export interface MetricsPage {
  /** With version and character set. */
  readonly contentType: string;
  /** Empty where no figures are kept. */
  readonly text: string;
}

/** What is counted of a connection. */
export interface ConnectionFigures {
  /** It was welcomed. */
  readonly isReady: boolean;
  /** It takes nothing new. */
  readonly isDraining: boolean;
}

/** One answered HTTP request. */
export interface AnsweredRequest {
  /** Name of the operation; `none` where no operation was reached. */
  readonly operation: string;
  /** Of HTTP. */
  readonly status: number;
  /** Until the head of the answer; a stream goes on after that. */
  readonly durationMs: number;
}

/** What readers of events come by. */
export type ReaderKind = "sse" | "websocket";

/** Takes what the rooms tell. */
export interface HubMetrics {
  /** Names the connections to look at whenever the figures are read. */
  watchConnections(list: () => Iterable<ConnectionFigures>): void;
  /** A node was welcomed; `isReturn` unless it was for the first time. */
  nodeOnline(isReturn: boolean): void;
  /** A node's connection ended, for a reason. */
  nodeOffline(reason: CortexErrorCode): void;
  /** A heartbeat came whose node measured the last round trip. */
  heartbeat(roundTripMs: number): void;
  /** An unfinished task was found when the hub started. */
  taskFound(task: Pick<TaskRecord, "taskId" | "state">): void;
  /** A change of a task was committed; `before` is undefined for a new one. */
  taskChanged(before: TaskRecord | undefined, after: TaskRecord): void;
  /** A task was deleted. */
  taskForgotten(task: Pick<TaskRecord, "taskId">): void;
  /** A dispatch was answered with the earlier task of its idempotency key. */
  dispatchRepeated(): void;
  /** A node's report was not applied. */
  reportRefused(): void;
  /** From now on no attempt is declared lost, since most nodes vanished at once or the hub has just started; without a reason, they may be again. */
  attemptsFrozen(reason: "vanished" | "restarted" | undefined): void;
  /** Bytes of task output became durable. */
  outputWritten(stream: "stdout" | "stderr", sizeBytes: number): void;
  /** The store made transactions durable. */
  storeCommitted(commit: CommitFigures): void;
  /** A user made an invite. */
  inviteMade(): void;
  /** An invite became a node. */
  nodeEnrolled(): void;
  /** A machine was not let in. */
  enrolmentRefused(reason: CortexErrorCode): void;
  /** A node proved its key: for a new connection, or to go on with one. */
  tokenIssued(purpose: "connect" | "renew"): void;
  /** A request for a token was refused. */
  tokenRefused(reason: CortexErrorCode): void;
  /** An HTTP request was answered. */
  requestAnswered(request: AnsweredRequest): void;
  /** A client follows events; call the result when it does not any more. */
  readerOpened(kind: ReaderKind): () => void;
  /** Gives all figures as they are now. */
  read(): Promise<MetricsPage>;
}

const ignore = (): void => undefined;

/** Keeps no figures. */
export const SILENT_METRICS: HubMetrics = {
  watchConnections: ignore,
  nodeOnline: ignore,
  nodeOffline: ignore,
  heartbeat: ignore,
  taskFound: ignore,
  taskChanged: ignore,
  taskForgotten: ignore,
  dispatchRepeated: ignore,
  reportRefused: ignore,
  attemptsFrozen: ignore,
  outputWritten: ignore,
  storeCommitted: ignore,
  inviteMade: ignore,
  nodeEnrolled: ignore,
  enrolmentRefused: ignore,
  tokenIssued: ignore,
  tokenRefused: ignore,
  requestAnswered: ignore,
  readerOpened: () => ignore,
  read: async () => ({ contentType: "text/plain; charset=utf-8", text: "" }),
};
