/**
 * What operations call: the parts of a hub, each behind its interface.
 */
import type { Clock, InviteId, NodeId } from "@cortex-mesh/protocol";
import type { Caller } from "../access/caller.js";
import type { FeedService } from "../feed/feed-service.js";
import type { SessionService } from "../sessions/session-service.js";
import type { InviteRecord, NodeRecord } from "../store/records.js";
import type { PageRequest } from "../store/store.js";
import type { TaskService } from "../tasks/task-service.js";

/** How a node stands right now. */
export type NodeStatus = "online" | "offline" | "draining" | "revoked";

/** Figures of a node's newest heartbeat; ratios are 0 to 1. */
export interface NodeUsageView {
  readonly cpuRatio: number;
  readonly memoryRatio: number;
  readonly memoryFreeBytes: number;
  readonly loadAverage: number;
  readonly diskFreeBytes: number;
  readonly diskRatio: number;
  readonly runningTasks: number;
  readonly queuedTasks: number;
  readonly processRssBytes: number;
}

/** A node with what is known of its connection. */
export interface NodeView {
  readonly record: NodeRecord;
  readonly status: NodeStatus;
  /** Absent while the node is not connected, and before its first heartbeat. */
  readonly usage: NodeUsageView | undefined;
  /** Absent while the node is not connected. */
  readonly connection: { readonly epoch: number; readonly connectedAtMs: number; readonly roundTripMs: number | undefined } | undefined;
}

/** Nodes of a hub. Every method throws `NOT_FOUND` for what the caller does not own. */
export interface NodeDirectory {
  get(caller: Caller, nodeId: NodeId): Promise<NodeView>;
  list(caller: Caller, page: PageRequest): Promise<NodeView[]>;
  /** How each of the nodes stands; a node that the caller does not see is left out. */
  statuses(caller: Caller, nodeIds: readonly NodeId[]): Promise<ReadonlyMap<NodeId, NodeStatus>>;
  /** Asks the node to take nothing new and to end when its tasks have. @throws {@link CortexError} `NODE_REVOKED` */
  drain(caller: Caller, nodeId: NodeId): Promise<NodeView>;
  /** Ends its right to be here and its streams; idempotent. */
  revoke(caller: Caller, nodeId: NodeId): Promise<NodeView>;
}

/** An invite with the one chance to read its secret. */
export interface CreatedInvite {
  readonly record: InviteRecord;
  /** `cxi_…` */
  readonly invite: string;
  /** What to run on the node's machine. */
  readonly command: string;
  /** The same as a configuration file. */
  readonly configYaml: string;
}

/** Invites of a hub. Every method throws `NOT_FOUND` for what the caller does not own. */
export interface InviteService {
  create(
    caller: Caller,
    request: {
      readonly name: string | undefined;
      readonly ttlSeconds: number | undefined;
      readonly labels: Readonly<Record<string, string>> | undefined;
    },
  ): Promise<CreatedInvite>;
  get(caller: Caller, inviteId: InviteId): Promise<InviteRecord>;
  list(caller: Caller, page: PageRequest): Promise<InviteRecord[]>;
  /** Withdraws it; idempotent. */
  revoke(caller: Caller, inviteId: InviteId): Promise<InviteRecord>;
}

/** Everything that operations use. */
export interface HubServices {
  readonly clock: Clock;
  readonly feed: FeedService;
  readonly invites: InviteService;
  readonly nodes: NodeDirectory;
  readonly sessions: SessionService;
  readonly tasks: TaskService;
}
