/**
 * Runs a generated service on a grpc-js server: handlers get messages or links and may throw; errors are mapped.
 *
 * Every stream is answered with initial metadata at once, so that the client knows that it is open.
 */
import type { DescMessage, DescMethod, DescService, Message, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import {
  type handleBidiStreamingCall,
  type handleUnaryCall,
  Metadata,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import type { Clock } from "../clock.js";
import { CortexError, toCortexError } from "../errors.js";
import type { Link } from "../link.js";
import { createGrpcLink } from "./grpc-link.js";
import { methodsOf, type ReceivedBatch, streamDefinition, unaryDefinition } from "./service-definition.js";
import { toServiceError } from "./status.js";
import { LINK_LIMITS, roleOfStream } from "./transport-limits.js";

/** What a handler knows about its call besides the request. */
export interface CallContext {
  /** The first value of a request header, by its lower-case name. */
  header(name: string): string | undefined;
  /** Address of the peer, for logs; `unknown` when the connection is gone. */
  readonly peerAddress: string;
  /** The peer has shown that it is `owner`: its connection is none of a stranger until that is withdrawn. */
  trust(owner: string): void;
  /** Fires when the call is over, also in an orderly way. */
  readonly signal: AbortSignal;
}

/** One method as a handler. */
export type MethodHandler<M> = M extends {
  methodKind: "unary";
  input: infer Input extends DescMessage;
  output: infer Output extends DescMessage;
}
  ? (request: MessageShape<Input>, context: CallContext) => Promise<MessageInitShape<Output>>
  : M extends { methodKind: "bidi_streaming" }
    ? (link: Link, context: CallContext) => void | Promise<void>
    : never;

/**
 * Handlers of a service. A method without one answers `NOT_SUPPORTED`. What a stream handler throws closes its link;
 * one that returns leaves it open.
 */
export type ServiceHandlers<S extends DescService> = {
  readonly [Name in keyof S["method"]]?: MethodHandler<S["method"][Name]>;
};

/** A service in the shape of `Server.addService`. */
export interface BoundService {
  readonly definition: ServiceDefinition;
  readonly implementation: UntypedServiceImplementation;
}

type UnaryHandler = (request: Message, context: CallContext) => Promise<Message>;
type StreamHandler = (link: Link, context: CallContext) => void | Promise<void>;

/** The server that a service runs on. */
export interface ServiceHost {
  readonly clock: Clock;
  /** The peer at this address has shown who it is. */
  readonly trust: (peerAddress: string, owner: string) => void;
}

/** Binds handlers to the methods of a service. */
export function bindService<S extends DescService>(
  service: S,
  handlers: ServiceHandlers<S>,
  host: ServiceHost,
): BoundService {
  const definition: Record<string, ServiceDefinition[string]> = {};
  const implementation: UntypedServiceImplementation = {};
  const byName = handlers as Readonly<Record<string, unknown>>;
  for (const [name, method] of methodsOf(service)) {
    const handler = byName[name] ?? notSupported(method);
    if (method.methodKind === "unary") {
      definition[name] = unaryDefinition(method);
      implementation[name] = unaryHandler(method, handler as UnaryHandler, host);
    } else {
      definition[name] = streamDefinition(method);
      implementation[name] = streamHandler(method, handler as StreamHandler, host);
    }
  }
  return { definition, implementation };
}

function unaryHandler(method: DescMethod, handler: UnaryHandler, host: ServiceHost): handleUnaryCall<Message, Message> {
  return (call, callback) => {
    const over = new AbortController();
    call.on("cancelled", () => over.abort());
    const run = async (): Promise<Message> =>
      create(method.output, await handler(call.request, contextOf(call, over, host)));
    run().then(
      (response) => callback(null, response),
      (error: unknown) => callback(toServiceError(error)),
    );
  };
}

function streamHandler(
  method: DescMethod,
  handler: StreamHandler,
  host: ServiceHost,
): handleBidiStreamingCall<ReceivedBatch, ReceivedBatch> {
  const limits = LINK_LIMITS[roleOfStream(method.localName)];
  return (call) => {
    call.sendMetadata(new Metadata());
    const over = new AbortController();
    const link = createGrpcLink(call, { limits, clock: host.clock });
    void link.closed.then(() => over.abort());
    const run = async (): Promise<void> => handler(link, contextOf(call, over, host));
    run().catch((error: unknown) => link.close(toCortexError(error)));
  };
}

/** What both kinds of server call have. */
interface AnyCall {
  readonly metadata: Metadata;
  getPeer(): string;
}

function contextOf(call: AnyCall, over: AbortController, host: ServiceHost): CallContext {
  return {
    trust: (owner) => host.trust(call.getPeer(), owner),
    header: (name) => call.metadata.get(name)[0]?.toString(),
    peerAddress: call.getPeer(),
    signal: over.signal,
  };
}

function notSupported(method: DescMethod): () => Promise<never> {
  return () => Promise.reject(new CortexError("NOT_SUPPORTED", `this hub does not serve ${method.name}`));
}
