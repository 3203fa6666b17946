/** What a node is made with and what it tells. */
import type typedEmitter from "typed-emitter";
import type { Clock, CortexError, IsolationLevel, NodeId, SkillImplementation } from "@cortex-mesh/protocol";
import type { HubDial } from "../link/transport.js";
import type { NodeSkill } from "../skills/node-skill.js";
import type { NodeIdentity } from "../state/identity.js";

/** What {@link createNode} takes. */
export interface NodeOptions {
  /** Where the node keeps its key, its records and waiting output; one node a directory. */
  readonly stateDirectory: string;
  /** Root of the session workspaces. @default what was given when the node enrolled */
  readonly workspaceRoot?: string | undefined;
  /** @default shell and echo */
  readonly skills?: readonly (NodeSkill | SkillImplementation)[] | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Name to enrol with. @default the machine's */
  readonly name?: string | undefined;
  /** Tasks at once. @default 64 */
  readonly maxTasks?: number | undefined;
  /** Isolation of a task that asks for none. @default "none" */
  readonly sandboxLevel?: IsolationLevel | undefined;
  /** How long running tasks may go on when the node drains, in milliseconds. @default 10000 */
  readonly drainGraceMs?: number | undefined;
  /** Dials in a row that may fail. @default for ever */
  readonly maxRetries?: number | undefined;
  /** Output of one task that is kept, in bytes. @default 1 GiB */
  readonly maxOutputBytes?: number | undefined;
  /** @default the machine's */
  readonly clock?: Clock | undefined;
  /** How the hub is reached. @default gRPC over TLS */
  readonly dial?: ((identity: NodeIdentity) => HubDial) | undefined;
}

/** Names one try of a task. */
export interface NodeTask {
  /** `task_…` */
  readonly taskId: string;
  /** From 1. */
  readonly attempt: number;
}

/** What a node tells. */
export type NodeEvents = {
  /** The hub has welcomed the node. `hub` is its address. */
  online: (event: { readonly nodeId: NodeId; readonly hub: string }) => void;
  /** The connection is over; the node dials again by itself. */
  offline: (event: { readonly reason: CortexError | undefined }) => void;
  /** A dial failed; the next one comes after the wait. */
  connectFailed: (event: { readonly error: CortexError; readonly waitMs: number }) => void;
  /** The node takes nothing new and lets its tasks finish. */
  draining: (event: { readonly graceMs: number }) => void;
  /** The node has ended; with the error that ended it, if one did. */
  stopped: (event: { readonly error: CortexError | undefined }) => void;
  /** A task's process was started. */
  taskStarted: (event: NodeTask) => void;
  /** The end of a task was stored and is told to the hub; once more on each connection until the hub has it. */
  taskEnded: (event: NodeTask & { readonly exitCode: number | undefined; readonly code: string | undefined }) => void;
  /** A grant was not acted on. */
  refused: (event: { readonly error: CortexError }) => void;
};

/** The emitter behind a node. */
export type NodeEmitter = typedEmitter.default<NodeEvents>;

/** How {@link CortexNode.run} goes. */
export interface RunOptions {
  /** Used when the node has no identity yet. */
  readonly invite?: string | undefined;
  /** Ends the run with a drain. */
  readonly signal?: AbortSignal | undefined;
}

/** A node of this machine. All methods are idempotent and may come in any order. */
export interface CortexNode extends AsyncDisposable {
  /** Calls `listener` at each event of this kind. */
  on<E extends keyof NodeEvents>(event: E, listener: NodeEvents[E]): void;
  /** Ends that. */
  off<E extends keyof NodeEvents>(event: E, listener: NodeEvents[E]): void;
  /** Undefined until the node is enrolled. */
  readonly nodeId: NodeId | undefined;
  /**
   * Makes the node known to a hub and remembers it. A repetition with the same invite gives the same node.
   *
   * @throws CortexError `INVITE_REFUSED`, `UNAUTHENTICATED`, `UNAVAILABLE`; `STATE_IN_USE` with another invite than the one
   * that made the node.
   */
  enrol(invite: string): Promise<{ readonly nodeId: NodeId }>;
  /** Starts to work. @throws CortexError `UNAUTHENTICATED` when the node is not enrolled. */
  start(): Promise<void>;
  /** Takes nothing new, lets tasks finish, delivers, says goodbye. The signal ends the waiting. */
  drain(options?: { readonly graceMs?: number; readonly signal?: AbortSignal }): Promise<void>;
  /** Ends at once: running tasks are killed. Rejects only when the state cannot be closed. */
  close(): Promise<void>;
  /** Resolves when the node has ended: with the error that ended it, if one did. */
  readonly closed: Promise<CortexError | undefined>;
  /**
   * Enrols when it has to, works until the signal, a drain that the hub asks for or a fatal error, drains and closes.
   *
   * @throws CortexError the fatal error.
   */
  run(options?: RunOptions): Promise<void>;
}
