/**
 * The hub of Cortex: users, nodes, sessions and tasks, in a process of yours.
 *
 * @packageDocumentation
 */

export type { Caller } from "./access/caller.js";
export type { AccessRule } from "./access/matrix.js";
export { type DataLock, takeDataLock } from "./data-lock.js";
export type { FeedItem, FeedService, FollowedFeed } from "./feed/feed-service.js";
export type { FetchHandler } from "./http/handler.js";
export { type HttpServer, type ServeHttpOptions, serveHttp, serveSocket } from "./http/serve.js";
export { createHub, type HostUser, type Hub, type HubMetricsOptions, type HubOptions } from "./hub.js";
export { type HubCore, type HubCoreOptions, type HubLocation, openHubCore } from "./hub-core.js";
export type { HubLogger } from "./hub-logger.js";
export type { ConnectionKey, NodeCredentials, NodeGateway } from "./link/gateway.js";
export type {
  AnsweredRequest,
  ConnectionFigures,
  HubMetrics,
  MetricsPage,
  ReaderKind,
} from "./metrics/hub-metrics.js";
export type { HubAuthority } from "./nodes/authority.js";
export type { InputPiece, NodeConnection, NodeUsage } from "./nodes/connection.js";
export type { NodeConnections } from "./nodes/connections.js";
export type { NodeDirectory, NodeStatus, NodeView } from "./nodes/directory.js";
export type { Enrolment } from "./nodes/enrolment.js";
export type { CreateInviteRequest, HubEndpoint, Invites, NewInvite } from "./nodes/invites.js";
export type { RandomSource } from "./nodes/random.js";
export type { Tokens, VerifiedToken } from "./nodes/tokens.js";
export type { Api, CallArguments, CallOptions, CallResult } from "./operations/api.js";
export type {
  DescriptionTable,
  HttpMethod,
  InputPlaces,
  OperationContract,
  OperationDescription,
  OperationKind,
} from "./operations/description.js";
export {
  type ByteContent,
  defineOperation,
  type EventStream,
  type Operation,
  type OperationContext,
  type OperationDefinition,
  type OperationResult,
  type OperationTable,
  type StatusChoice,
} from "./operations/operation.js";
export type { HubServices } from "./operations/services.js";
export { type Operations, operations } from "./operations/table.js";
export type { AttachRequest } from "./sessions/session-nodes.js";
export type { CreateSessionRequest, SessionService } from "./sessions/session-service.js";
export {
  createMemoryStore,
  type MemoryStore,
  type MemoryStoreOptions,
  type MemoryStoreStep,
} from "./store/memory/memory-store.js";
export type * from "./store/records.js";
export type { Scope } from "./store/scope.js";
export type { CommitFigures } from "./store/sql/transaction-queue.js";
export { openSqliteStore, type SqliteStoreOptions } from "./store/sqlite/sqlite-store.js";
export type {
  EventReads,
  EventWrites,
  FeedReads,
  FeedWrites,
  HubStore,
  InviteReads,
  InviteWrites,
  KeyReads,
  KeyWrites,
  NodeReads,
  NodeWrites,
  PageRequest,
  SessionReads,
  SessionWrites,
  StoreCapabilities,
  StoreReads,
  StoreTransaction,
  TaskFilter,
  TaskReads,
  TaskWrites,
  UserReads,
  UserWrites,
} from "./store/store.js";
export type { DeadlineOptions } from "./tasks/deadlines.js";
export type { OutputFiles, OutputStream } from "./tasks/output-files.js";
export type {
  OutputContent,
  SubmitRequest,
  Submitted,
  TaskCandidate,
  TaskExplanation,
  TaskService,
  TaskStreamEvent,
  TaskView,
} from "./tasks/task-service.js";
