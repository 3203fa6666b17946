/**
 * Cortex over gRPC: a server and a channel, always TLS, whose streams are links of encoded frames.
 *
 * @packageDocumentation
 */
export { type ChannelOptions, type ClientTls, type GrpcChannel, openChannel } from "./channel.js";
export { decodeFrameBatch, encodeFrameBatch, MAX_FRAMES_PER_MESSAGE } from "./frame-batch.js";
export { createGrpcLink, type GrpcLinkOptions } from "./grpc-link.js";
export { type Proxy, type ProxyEnvironment, proxyFor } from "./proxy.js";
export { createGrpcServer, type GrpcServer, type GrpcServerOptions, type ServerTls } from "./server.js";
export { type FetchServerCaOptions, fetchServerCa } from "./server-ca.js";
export type { CallOptions, ClientMethod, ServiceClient } from "./service-client.js";
export {
  type ReceivedBatch,
  type StreamDefinition,
  streamDefinition,
  type UnaryDefinition,
  unaryDefinition,
} from "./service-definition.js";
export type { CallContext, MethodHandler, ServiceHandlers } from "./service-handler.js";
export { fromServiceError, toServiceError } from "./status.js";
export { DEFAULT_STRANGER_LIMITS, type StrangerLimits } from "./stranger-guard.js";
export type { BatchStream } from "./stream-side.js";
export { type DialTlsOptions, dialTls } from "./tls-dial.js";
export {
  type ChannelRole,
  DEFAULT_KEEPALIVE,
  type KeepaliveOptions,
  LINK_LIMITS,
  type LinkLimits,
  roleOfStream,
} from "./transport-limits.js";
