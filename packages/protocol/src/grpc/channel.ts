/**
 * The client's connection to a hub: always TLS, with windows and keepalive by role.
 *
 * A channel dials on its first call and again on a call after a loss; when to call is the supervisor's business.
 * Where the environment names a proxy (`proxy.ts`), every dial goes through it; it is looked up when the channel is
 * opened. grpc-js' own reading of the environment is off: it knows small letters only and sends loopback away too.
 */
import { createSecureContext } from "node:tls";
import type { DescService } from "@bufbuild/protobuf";
import { Client, credentials, type ChannelOptions as GrpcOptions } from "@grpc/grpc-js";
import { CortexError } from "../errors.js";
import { MAX_CONTROL_MESSAGE_BYTES, MAX_DATA_MESSAGE_BYTES } from "../limits.js";
import type { Link } from "../link.js";
import { CORTEX_VERSION } from "../version.js";
import { formatAddress, parseAddress } from "./address.js";
import { USER_AGENT_PREFIX } from "./connection-guard.js";
import { tunnelConnections } from "./private-fields.js";
import { type ProxyEnvironment, proxyFor } from "./proxy.js";
import { openTunnel } from "./proxy-tunnel.js";
import { quietGrpc } from "./quiet-logger.js";
import { createServiceClient, type ServiceClient } from "./service-client.js";
import { type ChannelRole, DEFAULT_KEEPALIVE, type KeepaliveOptions, WINDOW_BYTES } from "./transport-limits.js";

/** Whom a client trusts and what it shows. */
export interface ClientTls {
  /** Certificate authorities of the hub, PEM. @default the public ones that come with Node */
  readonly caPem?: string | undefined;
  /** Name that the hub's certificate must have, when it is not the address: the hub id. */
  readonly serverName?: string | undefined;
  /** Certificate of the client. */
  readonly clientCert?: { readonly certPem: string; readonly keyPem: string } | undefined;
}

/** How a channel is opened. */
export interface ChannelOptions {
  /** `host:port`. */
  readonly address: string;
  readonly tls: ClientTls;
  readonly role: ChannelRole;
  /** @default {@link DEFAULT_KEEPALIVE} */
  readonly keepalive?: KeepaliveOptions | undefined;
  /** Where the proxy is named. @default process.env */
  readonly env?: ProxyEnvironment | undefined;
}

/** One connection to a hub. */
export interface GrpcChannel {
  readonly role: ChannelRole;
  /** The methods of a service over this channel. */
  client<S extends DescService>(service: S): ServiceClient<S>;
  /** Closes the connection; links that are still open end with `CANCELLED`. Idempotent. */
  close(): void;
}

/** grpc-js redials a failed address by itself while calls ask for it; the wait between calls is the supervisor's. */
const INITIAL_RECONNECT_MS = 100;
const MAX_RECONNECT_MS = 1_000;
/** How soon an address may be looked up again; grpc-js' 30 s would outlast most moves of a hub. */
const DNS_INTERVAL_MS = 1_000;

/**
 * Opens a channel; nothing is dialled yet.
 *
 * @throws CortexError `BAD_REQUEST` when a certificate or key cannot be read, or the environment names a
 * proxy that is none.
 */
export function openChannel(options: ChannelOptions): GrpcChannel {
  const { role } = options;
  quietGrpc();
  const connection = openClient(options);
  const links = new Set<Link>();
  const track = (link: Link): void => {
    links.add(link);
    void link.closed.then(() => links.delete(link));
  };
  return {
    role,
    client: (service) => createServiceClient(service, { connection, role, onLink: track }),
    close() {
      for (const link of links) link.close(new CortexError("CANCELLED", "the channel was closed"));
      connection.close();
    },
  };
}

function openClient(options: ChannelOptions): Client {
  const { address, env = process.env } = options;
  const trust = channelCredentials(options.tls);
  const proxy = proxyFor(address, env);
  if (proxy === undefined) return new Client(address, trust, grpcOptions(options));
  const target = formatAddress(parseAddress(address));
  tunnelConnections(trust, target, (socket) => openTunnel(socket, { proxy, target }));
  // Calls name the hub they are for, not what is dialled.
  return new Client(`dns:${proxy.address}`, trust, { ...grpcOptions(options), "grpc.default_authority": target });
}

function channelCredentials({ caPem, clientCert }: ClientTls): ReturnType<typeof credentials.createFromSecureContext> {
  try {
    const trust = caPem === undefined ? {} : { ca: caPem };
    const identity = clientCert === undefined ? {} : { cert: clientCert.certPem, key: clientCert.keyPem };
    return credentials.createFromSecureContext(createSecureContext({ ...trust, ...identity }));
  } catch (error) {
    throw new CortexError("BAD_REQUEST", "the certificates for the connection cannot be read", { cause: error });
  }
}

function grpcOptions({ tls, role, keepalive = DEFAULT_KEEPALIVE }: ChannelOptions): GrpcOptions {
  const maxMessageBytes = role === "control" ? MAX_CONTROL_MESSAGE_BYTES : MAX_DATA_MESSAGE_BYTES;
  return {
    ...(tls.serverName === undefined ? {} : { "grpc.ssl_target_name_override": tls.serverName }),
    "grpc.primary_user_agent": `${USER_AGENT_PREFIX}${role}/${CORTEX_VERSION}`,
    "grpc-node.flow_control_window": WINDOW_BYTES[role],
    // Channels to one address would share a connection otherwise, and bulk would sit in front of heartbeats.
    "grpc.use_local_subchannel_pool": 1,
    "grpc.keepalive_time_ms": keepalive.intervalMs,
    "grpc.keepalive_timeout_ms": keepalive.timeoutMs,
    "grpc.keepalive_permit_without_calls": 1,
    "grpc.max_receive_message_length": maxMessageBytes,
    "grpc.max_send_message_length": maxMessageBytes,
    "grpc.initial_reconnect_backoff_ms": INITIAL_RECONNECT_MS,
    "grpc.max_reconnect_backoff_ms": MAX_RECONNECT_MS,
    "grpc.dns_min_time_between_resolutions_ms": DNS_INTERVAL_MS,
    "grpc.enable_http_proxy": 0,
    "grpc.service_config_disable_resolution": 1,
    "grpc.enable_retries": 0,
    // grpc-js keeps 1 MB for retries even when they are off, and reports it as written: no back-pressure below it.
    "grpc.per_rpc_retry_buffer_size": 0,
    "grpc.enable_channelz": 0,
  };
}
