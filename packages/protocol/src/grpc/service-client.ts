/**
 * Typed calls of a generated service over one connection: promises for unary methods, links for streams.
 */
import type { DescMessage, DescMethod, DescService, Message, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import { type Client, Metadata, type ServiceError } from "@grpc/grpc-js";
import { CortexError } from "../errors.js";
import type { Link } from "../link.js";
import { createGrpcLink } from "./grpc-link.js";
import { methodsOf, streamDefinition, unaryDefinition } from "./service-definition.js";
import { fromServiceError } from "./status.js";
import { type ChannelRole, DEFAULT_CALL_TIMEOUT_MS, LINK_LIMITS, roleOfStream } from "./transport-limits.js";

/** What a single call may carry. */
export interface CallOptions {
  /** Request metadata: lower-case names, ASCII values. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Time for a unary answer, in milliseconds; a stream has none unless it is given. @default 10 s for unary calls */
  readonly timeoutMs?: number | undefined;
  /** Ends the call with `CANCELLED`. */
  readonly signal?: AbortSignal | undefined;
}

/** One method as a function. */
export type ClientMethod<M> = M extends {
  methodKind: "unary";
  input: infer Input extends DescMessage;
  output: infer Output extends DescMessage;
}
  ? (request: MessageInitShape<Input>, options?: CallOptions) => Promise<MessageShape<Output>>
  : M extends { methodKind: "bidi_streaming" }
    ? (options?: CallOptions) => Link
    : never;

/** The methods of a service: unary ones reject with CortexError, streams are {@link Link}s. */
export type ServiceClient<S extends DescService> = {
  readonly [Name in keyof S["method"]]: ClientMethod<S["method"][Name]>;
};

/** The connection that calls go over. */
export interface ClientConnection {
  readonly connection: Client;
  readonly role: ChannelRole;
  /** Hears of each link. */
  readonly onLink: (link: Link) => void;
}

/**
 * Makes the methods of `service`.
 *
 * @throws TypeError when the service streams in a way that links do not carry.
 */
export function createServiceClient<S extends DescService>(service: S, connection: ClientConnection): ServiceClient<S> {
  const methods = [...methodsOf(service)].map(([name, method]) => [
    name,
    method.methodKind === "unary" ? unaryCall(method, connection) : streamCall(method, connection),
  ]);
  return Object.fromEntries(methods) as ServiceClient<S>;
}

function unaryCall(method: DescMethod, { connection }: ClientConnection) {
  const { path, requestSerialize, responseDeserialize } = unaryDefinition(method);
  return (init: Message, options: CallOptions = {}): Promise<Message> =>
    new Promise((resolve, reject) => {
      const { signal, timeoutMs = DEFAULT_CALL_TIMEOUT_MS } = options;
      if (signal?.aborted) {
        reject(withdrawn(signal));
        return;
      }
      const onAbort = (): void => call.cancel();
      const settle = (error: ServiceError | null, response?: Message): void => {
        signal?.removeEventListener("abort", onAbort);
        if (error === null && response !== undefined) resolve(response);
        else if (signal?.aborted) reject(withdrawn(signal));
        else reject(error === null ? emptyResponse() : fromServiceError(error));
      };
      const request = create(method.input, init);
      const deadline = { deadline: Date.now() + timeoutMs };
      const args = [request, metadataOf(options), deadline, settle] as const;
      const call = connection.makeUnaryRequest(path, requestSerialize, responseDeserialize, ...args);
      signal?.addEventListener("abort", onAbort, { once: true });
    });
}

function streamCall(method: DescMethod, { connection, role, onLink }: ClientConnection) {
  const { path, requestSerialize, responseDeserialize } = streamDefinition(method);
  const limits = LINK_LIMITS[roleOfStream(method.localName)];
  return (options: CallOptions = {}): Link => {
    if (role === "control" && roleOfStream(method.localName) === "data") {
      throw new TypeError(`${method.name} carries bulk and needs a channel of the role "data"`);
    }
    const deadline = options.timeoutMs === undefined ? {} : { deadline: Date.now() + options.timeoutMs };
    const args = [metadataOf(options), deadline] as const;
    const stream = connection.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, ...args);
    const link = createGrpcLink(stream, { limits, signal: options.signal });
    onLink(link);
    return link;
  };
}

function metadataOf({ headers = {} }: CallOptions): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  return metadata;
}

function withdrawn(signal: AbortSignal): CortexError {
  return new CortexError("CANCELLED", "the caller withdrew", { cause: signal.reason });
}

function emptyResponse(): CortexError {
  return new CortexError("INTERNAL", "the call ended without an answer and without an error");
}
