/** A server of the real service on loopback with channels to it, all closed by one call. */
import { AgentOrchestrator } from "../../../src/gen/index.js";
import { type ChannelOptions, type GrpcChannel, openChannel } from "../../../src/grpc/channel.js";
import { createGrpcServer, type GrpcServer, type GrpcServerOptions } from "../../../src/grpc/server.js";
import type { ServiceHandlers } from "../../../src/grpc/service-handler.js";
import type { ChannelRole } from "../../../src/grpc/transport-limits.js";
import { type Certificates, makeCertificates } from "./make-certificates.js";

/** The name in the test hub's certificate. */
export const HUB_NAME = "hub_01JD0000000000000000000000";

let shared: Promise<Certificates> | undefined;

/** The certificates of every test hub in this file. */
export function hubCertificates(): Promise<Certificates> {
  shared ??= makeCertificates(HUB_NAME);
  return shared;
}

/** A running hub. */
export interface TestHub extends AsyncDisposable {
  readonly server: GrpcServer;
  readonly port: number;
  readonly certificates: Certificates;
  /** Opens a channel, by default straight to the hub. */
  open(role: ChannelRole, options?: Partial<ChannelOptions>): GrpcChannel;
}

/** Starts a hub with these handlers. */
export async function startHub(
  handlers: ServiceHandlers<typeof AgentOrchestrator>,
  options: Partial<GrpcServerOptions> = {},
): Promise<TestHub> {
  const certificates = await hubCertificates();
  const tls = { certPem: certificates.chainPem, keyPem: certificates.keyPem };
  const server = createGrpcServer({ tls, ...options });
  server.serve(AgentOrchestrator, handlers);
  const port = await server.listen("127.0.0.1:0");
  const channels: GrpcChannel[] = [];
  return {
    server,
    port,
    certificates,
    open(role, overrides = {}) {
      const trust = { caPem: certificates.caPem, serverName: HUB_NAME };
      const channel = openChannel({ address: `127.0.0.1:${port}`, tls: trust, role, ...overrides });
      channels.push(channel);
      return channel;
    },
    async [Symbol.asyncDispose]() {
      for (const channel of channels) channel.close();
      await server.close();
    },
  };
}
