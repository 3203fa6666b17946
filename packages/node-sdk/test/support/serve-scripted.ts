/** A scripted hub over real gRPC and TLS: what it says to a node in memory travels over the network. */
import { onTestFinished } from "vitest";
import { hubServerName, type Link, systemClock } from "@cortex-mesh/protocol";
import { AgentOrchestrator, Enrollment } from "@cortex-mesh/protocol/gen";
import { createGrpcServer, type GrpcServer } from "@cortex-mesh/protocol/grpc";
import { type Certificates, makeCertificates } from "../../../protocol/test/grpc/support/make-certificates.js";
import { grpcDial } from "../../src/link/grpc-transport.js";
import type { HubTransport } from "../../src/link/transport.js";
import { HUB_ID, type ScriptedHub } from "./scripted-hub.js";
import { startNode, type TestNode } from "./start-node.js";

export interface ServedHub {
  readonly server: GrpcServer;
  /** `host:port`. */
  readonly address: string;
  /** Calls that came, of any kind. */
  readonly calls: readonly string[];
}

/** An authority and a leaf for the scripted hub's name. */
export const hubCertificates = (): Promise<Certificates> => makeCertificates(hubServerName(HUB_ID));

/** Serves `hub`, by default on a free port. */
export async function serveScripted(hub: ScriptedHub, tls: Certificates, address = "127.0.0.1:0"): Promise<ServedHub> {
  const calls: string[] = [];
  let transport: HubTransport | undefined;
  const server = createGrpcServer({ tls: { certPem: tls.chainPem, keyPem: tls.keyPem } });
  const current = (name: string): HubTransport => {
    calls.push(name);
    return (transport ??= hub.dial());
  };
  server.serve(Enrollment, {
    beginEnrollment: async () => {
      calls.push("beginEnrollment");
      return { challenge: new Uint8Array(32), hubId: HUB_ID, expiresInMs: 60_000 };
    },
    issueToken(request) {
      // Each proof starts a connection.
      if (request.nonce.byteLength > 0) transport = hub.dial();
      return current("issueToken").issueToken(request);
    },
  });
  server.serve(AgentOrchestrator, {
    syncConfiguration: (request) => current("syncConfiguration").register(request, "token"),
    taskStream: (link) => join(link, current("taskStream").openTasks("token")),
    reportHealth: (link) => join(link, current("reportHealth").openHealth("token")),
    logStream: (link) => join(link, current("logStream").openLogs("token")),
  });
  const port = await server.listen(address);
  onTestFinished(() => server.forceClose());
  return { server, address: `127.0.0.1:${port}`, calls };
}

/** Starts a node that dials an address; its hub is the one that was made with it. */
export async function startGrpcNode(caPem: string, dialled: () => string): Promise<TestNode> {
  const node = await startNode({
    clock: systemClock,
    dial: () => grpcDial({ address: dialled(), hubId: HUB_ID, caPem })(),
  });
  node.clock.setNowMs(Date.now());
  return node;
}

function join(near: Link, far: Link): void {
  for (const [from, to] of [
    [near, far],
    [far, near],
  ] as const) {
    from.onFrames((frames) => {
      for (const frame of frames) to.send(Uint8Array.from(frame));
    });
    void from.closed.then((reason) => to.close(reason));
  }
}
