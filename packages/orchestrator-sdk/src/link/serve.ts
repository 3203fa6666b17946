/**
 * Binds the gateway and the identity of nodes to gRPC. Every call of a node is authenticated here, before its message is
 * looked at.
 */
import { CortexError } from "@cortex-mesh/protocol";
import { AgentOrchestrator, Enrollment } from "@cortex-mesh/protocol/gen";
import {
  type CallContext,
  createGrpcServer,
  DEFAULT_STRANGER_LIMITS,
  type GrpcServer,
  type ServerTls,
} from "@cortex-mesh/protocol/grpc";
import type { Enrolment } from "../nodes/enrolment.js";
import type { Tokens } from "../nodes/tokens.js";
import type { NodeGateway } from "./gateway.js";
import type { NodeCredentials } from "./register.js";

/** What is served. */
export interface ServeLinkOptions {
  readonly gateway: NodeGateway;
  readonly tokens: Tokens;
  readonly enrolment: Enrolment;
  readonly tls: ServerTls;
}

/** Makes the gRPC server of a hub; it listens when it is told to. */
export function createLinkServer({ gateway, tokens, enrolment, tls }: ServeLinkOptions): GrpcServer {
  const server = createGrpcServer({ tls, strangers: DEFAULT_STRANGER_LIMITS });
  const authenticate = async (context: CallContext): Promise<NodeCredentials> => {
    const [scheme, token] = (context.header("authorization") ?? "").split(" ");
    if (scheme?.toLowerCase() !== "bearer" || token === undefined) {
      throw new CortexError("UNAUTHENTICATED", "the call carries no token; prove the node's key with IssueToken first");
    }
    const credentials = await tokens.verify(token);
    context.trust();
    return credentials;
  };
  server.serve(Enrollment, {
    beginEnrollment: async (request) => enrolment.begin(request),
    finishEnrollment: (request) => enrolment.finish(request),
    issueToken(request) {
      // The token of an open connection is refreshed on its stream, and nowhere else.
      if (request.epoch !== 0n) throw new CortexError("BAD_REQUEST", "a call for a token starts a connection: epoch 0");
      return tokens.issue(request);
    },
  });
  server.serve(AgentOrchestrator, {
    syncConfiguration: async (request, context) => gateway.register(await authenticate(context), request),
    taskStream: async (link, context) => gateway.openTasks(await authenticate(context), link),
    reportHealth: async (link, context) => gateway.openHealth(await authenticate(context), link),
    logStream: async (link, context) => gateway.openLogs(await authenticate(context), link),
  });
  return server;
}
