/**
 * Binds the gateway and the identity of nodes to gRPC. Every call of a node is authenticated here, before its message is
 * looked at.
 *
 * Its connection is trusted once the gateway took a stream on it: a token alone may be one of a revoked node, or of a connection
 * that is over. The trust ends with the node's connection, and so do its sockets when the node is revoked.
 */
import { CortexError, type Link } from "@cortex-mesh/protocol";
import { AgentOrchestrator, Enrollment } from "@cortex-mesh/protocol/gen";
import {
  type CallContext,
  createGrpcServer,
  DEFAULT_STRANGER_LIMITS,
  type GrpcServer,
  type ServerTls,
  type StrangerLimits,
} from "@cortex-mesh/protocol/grpc";
import type { Enrolment } from "../nodes/enrolment.js";
import type { Tokens } from "../nodes/tokens.js";
import type { NodeGateway } from "./gateway.js";
import type { ConnectionKey, NodeCredentials } from "./register.js";

/** What is served. */
export interface ServeLinkOptions {
  readonly gateway: NodeGateway;
  readonly tokens: Tokens;
  readonly enrolment: Enrolment;
  readonly tls: ServerTls;
  /** Bounds for peers that have not shown who they are. @default {@link DEFAULT_STRANGER_LIMITS} */
  readonly strangers?: Partial<StrangerLimits> | undefined;
}

/** Makes the gRPC server of a hub; it listens when it is told to. */
export function createLinkServer({ gateway, tokens, enrolment, tls, strangers }: ServeLinkOptions): GrpcServer {
  const server = createGrpcServer({ tls, strangers: { ...DEFAULT_STRANGER_LIMITS, ...strangers } });
  const authenticate = async (context: CallContext): Promise<NodeCredentials> => {
    const [scheme, token] = (context.header("authorization") ?? "").split(" ");
    if (scheme?.toLowerCase() !== "bearer" || token === undefined) {
      throw new CortexError("UNAUTHENTICATED", "the call carries no token; prove the node's key with IssueToken first");
    }
    return await tokens.verify(token);
  };
  const take =
    (open: (key: ConnectionKey, link: Link) => boolean) =>
    async (link: Link, context: CallContext): Promise<void> => {
      const key = await authenticate(context);
      if (open(key, link)) context.trust(ownerOf(key));
    };
  gateway.onEnded((key, { code }) => server.withdrawTrust(ownerOf(key), { isFinal: code === "NODE_REVOKED" }));
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
    taskStream: take(gateway.openTasks),
    reportHealth: take(gateway.openHealth),
    logStream: take(gateway.openLogs),
  });
  return server;
}

/** Each connection of a node is trusted by itself: the end of one takes nothing from the next. */
function ownerOf({ nodeId, epoch }: ConnectionKey): string {
  return `${nodeId} ${epoch}`;
}
