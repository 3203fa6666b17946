/**
 * The hub of Cortex: users, nodes, sessions and tasks, in a process of yours.
 *
 * @packageDocumentation
 */

export type { Caller } from "./access/caller.js";
export type { AccessRule } from "./access/matrix.js";
export type { FetchHandler } from "./http/handler.js";
export { type HttpServer, type ServeHttpOptions, serveHttp, serveSocket } from "./http/serve.js";
export { createHub, type HostUser, type Hub, type HubOptions } from "./hub.js";
export { type HubCore, type HubCoreOptions, openHubCore } from "./hub-core.js";
export type { HubLogger } from "./hub-logger.js";
export type { NodeCredentials, NodeGateway } from "./link/gateway.js";
export type { Api, CallArguments, CallOptions, CallResult } from "./operations/api.js";
export {
  type ByteContent,
  defineOperation,
  type EventStream,
  type HttpMethod,
  type Operation,
  type OperationContext,
  type OperationDefinition,
  type OperationKind,
  type OperationResult,
  type OperationTable,
} from "./operations/operation.js";
export type { HubServices } from "./operations/services.js";
export { type Operations, operations } from "./operations/table.js";
export { createMemoryStore, type MemoryStore, type MemoryStoreOptions } from "./store/memory/memory-store.js";
export { openSqliteStore, type SqliteStoreOptions } from "./store/sqlite/sqlite-store.js";
export type { HubStore } from "./store/store.js";
