/**
 * The hub's gRPC server: always TLS, with the limits that keep one peer from harming the others.
 *
 * What a peer can make it hold: 64 calls a connection, each with one window (1 MiB, 8 MiB on data connections) and
 * two messages; headers of 16 KiB; no place at all without a call within the handshake time, and little without trust.
 */
import type { DescService } from "@bufbuild/protobuf";
import { type ServerOptions as GrpcOptions, Server, ServerCredentials } from "@grpc/grpc-js";
import { type Clock, systemClock } from "../clock.js";
import { CortexError } from "../errors.js";
import { MAX_DATA_MESSAGE_BYTES } from "../limits.js";
import { createConnectionGuard } from "./connection-guard.js";
import { configureServer, type HiddenServerOptions } from "./private-fields.js";
import { quietGrpc } from "./quiet-logger.js";
import { bindService, type ServiceHandlers } from "./service-handler.js";
import { addStandardServices } from "./standard-services.js";
import { createStrangerGuard, type StrangerLimits } from "./stranger-guard.js";
import {
  DEFAULT_HANDSHAKE_TIMEOUT_MS,
  DEFAULT_KEEPALIVE,
  type KeepaliveOptions,
  MAX_HEADER_BYTES,
  MAX_IDLE_CONNECTION_MS,
  MAX_SESSION_MEMORY_MEGABYTES,
  MAX_STREAMS_PER_CONNECTION,
  WINDOW_BYTES,
} from "./transport-limits.js";

/** The server's certificate. */
export interface ServerTls {
  /** Leaf first, then its authorities up to the root, so that a client with an invite finds the root it pins. */
  readonly certPem: string;
  readonly keyPem: string;
}

/** How a server is made. */
export interface GrpcServerOptions {
  readonly tls: ServerTls;
  /** @default {@link DEFAULT_KEEPALIVE} */
  readonly keepalive?: KeepaliveOptions | undefined;
  /** Time for a TLS handshake, and then for a first call, in milliseconds. @default 5 s */
  readonly handshakeTimeoutMs?: number | undefined;
  /** Bounds for peers that no handler has trusted. @default none */
  readonly strangers?: StrangerLimits | undefined;
  /** @default the system's clock */
  readonly clock?: Clock | undefined;
}

/** A gRPC server. */
export interface GrpcServer extends AsyncDisposable {
  /**
   * Adds a service; to be called before {@link GrpcServer.listen}. The standard services health (`grpc.health.v1`)
   * and reflection (`grpc.reflection.v1`) are there already and tell of it.
   */
  serve<S extends DescService>(service: S, handlers: ServiceHandlers<S>): void;
  /**
   * Listens on `host:port`, port 0 for a free one, and gives the port.
   *
   * @throws CortexError `UNAVAILABLE` when the address cannot be bound.
   */
  listen(address: string): Promise<number>;
  /** Says by health whether the server serves. It does until it is closed or this says otherwise. */
  setServing(isServing: boolean): void;
  /**
   * The connections that were trusted as the owner's are strangers' again. With `isFinal` they are told to go and dropped a
   * few seconds later.
   */
  withdrawTrust(owner: string, options?: { readonly isFinal?: boolean }): void;
  /** Takes no more calls, waits up to `graceMs` for those that run, then drops them. Idempotent. */
  close(options?: { readonly graceMs?: number }): Promise<void>;
  /** Drops every connection now. Idempotent. */
  forceClose(): void;
}

/** Makes a server; it holds no port until it listens. */
export function createGrpcServer(options: GrpcServerOptions): GrpcServer {
  const { tls, keepalive = DEFAULT_KEEPALIVE, strangers: limits, clock = systemClock } = options;
  const handshakeTimeoutMs = options.handshakeTimeoutMs ?? DEFAULT_HANDSHAKE_TIMEOUT_MS;
  quietGrpc();
  const server = new Server(grpcOptions(keepalive));
  const services = new Map<string, DescService>();
  const standard = addStandardServices(server, services);
  const strangers =
    limits === undefined ? undefined : createStrangerGuard(limits, { clock, trustedCalls: MAX_STREAMS_PER_CONNECTION });
  const guard = createConnectionGuard({
    handshakeTimeoutMs,
    clock,
    isHeldBack: (session) => strangers?.isStranger(session) ?? false,
  });
  configureServer(server, http2Options(handshakeTimeoutMs, limits), (http2Server) => {
    guard.watch(http2Server);
    strangers?.watch(http2Server);
  });
  const trust = (peerAddress: string, owner: string): void => {
    const session = strangers?.trust(peerAddress, owner);
    if (session !== undefined) guard.release(session);
  };
  let closing: Promise<void> | undefined;

  function forceClose(): void {
    server.forceShutdown();
    guard.destroyAll();
  }

  function shutDown(graceMs: number): Promise<void> {
    standard.close();
    return new Promise((resolve) => {
      const force = clock.setTimer(() => {
        forceClose();
        resolve();
      }, graceMs);
      server.tryShutdown(() => {
        force.cancel();
        resolve();
      });
    });
  }

  return {
    serve(service, handlers) {
      const { definition, implementation } = bindService(service, handlers, { clock, trust });
      server.addService(definition, implementation);
      services.set(service.typeName, service);
    },
    listen: (address) => bind(server, address, tls),
    setServing: standard.setServing,
    withdrawTrust: (owner, { isFinal = false } = {}) => strangers?.withdraw(owner, { isFinal }),
    close({ graceMs = 0 } = {}) {
      closing ??= shutDown(graceMs);
      return closing;
    },
    forceClose,
    async [Symbol.asyncDispose]() {
      await this.close();
    },
  };
}

function http2Options(handshakeTimeoutMs: number, strangers: StrangerLimits | undefined): HiddenServerOptions {
  return {
    handshakeTimeout: handshakeTimeoutMs,
    maxSessionMemory: MAX_SESSION_MEMORY_MEGABYTES,
    settings: {
      initialWindowSize: WINDOW_BYTES.control,
      maxConcurrentStreams: strangers?.maxCalls ?? MAX_STREAMS_PER_CONNECTION,
      maxHeaderListSize: MAX_HEADER_BYTES,
    },
  };
}

function grpcOptions(keepalive: KeepaliveOptions): GrpcOptions {
  return {
    "grpc.keepalive_time_ms": keepalive.intervalMs,
    "grpc.keepalive_timeout_ms": keepalive.timeoutMs,
    "grpc.max_connection_idle_ms": MAX_IDLE_CONNECTION_MS,
    "grpc.max_receive_message_length": MAX_DATA_MESSAGE_BYTES,
    "grpc.max_send_message_length": MAX_DATA_MESSAGE_BYTES,
    "grpc.enable_channelz": 0,
  };
}

function bind(server: Server, address: string, { certPem, keyPem }: ServerTls): Promise<number> {
  const pair = { cert_chain: Buffer.from(certPem), private_key: Buffer.from(keyPem) };
  return new Promise((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createSsl(null, [pair]), (error, port) => {
      if (error === null) resolve(port);
      else reject(new CortexError("UNAVAILABLE", `cannot listen on ${address}: ${error.message}`, { cause: error }));
    });
  });
}
