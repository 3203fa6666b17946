/**
 * The only file that touches what grpc-js 1.14.7 and Node keep to themselves, and why each is needed.
 *
 * - `Server.commonServerOptions`: the only way to HTTP/2 settings and TLS limits of the server. Without it its
 *   receive window is 64 KiB, so an upload moves 64 KiB a round trip.
 * - `Server.createHttp2Server`: the only way to the server's sessions, for connection windows and idle peers.
 * - `ServerDuplexStream.call.stream`: the only way to reset a call whose peer does not read.
 * - `Readable._readableState.highWaterMark`: grpc-js reads 16 messages ahead of a slow reader and has no option.
 * - `ChannelCredentials._createSecureConnector`: the only place between a client's TCP connection and its TLS, so that
 *   a proxy's refusal becomes an error that says so. What grpc-js does itself with `grpc.http_connect_target` tells
 *   callers "undefined" and waits for ever for a proxy that says nothing.
 *
 * Each access checks what it finds and throws an Error that names it, so a moved field shows at start and in
 * `private-fields.int.test.ts`, never as a silent loss of a limit.
 */
import { constants, type Http2Server, type SecureServerOptions, type ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import type { ChannelCredentials, Server } from "@grpc/grpc-js";

/** HTTP/2 and TLS options that grpc-js passes to Node for each port. */
export type HiddenServerOptions = SecureServerOptions;

/** Merges options into those of every port that `server` binds later, and shows each HTTP/2 server it makes. */
export function configureServer(
  server: Server,
  options: HiddenServerOptions,
  onHttp2Server: (http2Server: Http2Server) => void,
): void {
  const hidden = server as unknown as {
    commonServerOptions: SecureServerOptions;
    createHttp2Server: (...credentials: unknown[]) => Http2Server;
  };
  if (typeof hidden.commonServerOptions !== "object") throw moved("Server.commonServerOptions");
  if (typeof hidden.createHttp2Server !== "function") throw moved("Server.createHttp2Server");
  Object.assign(hidden.commonServerOptions, options);
  const make = hidden.createHttp2Server.bind(server);
  hidden.createHttp2Server = (...credentials) => {
    const http2Server = make(...credentials);
    onHttp2Server(http2Server);
    return http2Server;
  };
}

/** Resets a call on the server with RST_STREAM, also one whose data the peer does not take. */
export function resetServerStream(stream: object): void {
  const http2Stream = (stream as { call?: { stream?: ServerHttp2Stream } }).call?.stream;
  if (typeof http2Stream?.close !== "function") throw moved("ServerDuplexStream.call.stream");
  if (!http2Stream.destroyed) http2Stream.close(constants.NGHTTP2_CANCEL);
}

/** Lets a stream of objects read only `messages` ahead of its reader. */
export function limitReadAhead(stream: object, messages: number): void {
  const state = (stream as { _readableState?: { highWaterMark?: number } })._readableState;
  if (typeof state?.highWaterMark !== "number") throw moved("Readable._readableState.highWaterMark");
  state.highWaterMark = messages;
}

/**
 * Makes a client that dials something else, such as a proxy, do TLS with `target` (`host:port`) on the connection that
 * `tunnel` makes of each connection it opened.
 */
export function tunnelConnections(
  credentials: ChannelCredentials,
  target: string,
  tunnel: (socket: Socket) => Promise<Socket>,
): void {
  const hidden = credentials as unknown as { _createSecureConnector?: (...args: unknown[]) => HiddenConnector };
  if (typeof hidden._createSecureConnector !== "function") throw moved("ChannelCredentials._createSecureConnector");
  const make = hidden._createSecureConnector.bind(credentials);
  hidden._createSecureConnector = (_dialled, ...rest) => {
    const connector = make({ scheme: "dns", path: target }, ...rest);
    if (typeof connector.connect !== "function") throw moved("SecureConnector.connect");
    const secure = connector.connect.bind(connector);
    connector.connect = async (socket) => secure(await tunnel(socket));
    return connector;
  };
}

/** What grpc-js puts TLS on a connection with. */
interface HiddenConnector {
  connect(socket: Socket): Promise<unknown>;
}

function moved(field: string): Error {
  return new Error(
    `${field} is not where it was: this release of @grpc/grpc-js or Node needs another private-fields.ts`,
  );
}
