/** An HTTP proxy on loopback that knows CONNECT, like those of company networks. It alone knows the names behind it. */
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";

/** What a proxy does. */
export interface ConnectProxyOptions {
  /** `host:port` as clients ask for it, to a port on loopback. */
  readonly routes: Readonly<Record<string, number>>;
  /** `user:password` that it wants. */
  readonly credentials?: string;
  /** Hears requests and never answers. */
  readonly isSilent?: boolean;
}

/** A running proxy. */
export interface ConnectProxy extends AsyncDisposable {
  readonly port: number;
  /** `host:port` of each CONNECT, also of refused ones. */
  readonly targets: readonly string[];
}

/** Opens a proxy. */
export async function openConnectProxy(options: ConnectProxyOptions): Promise<ConnectProxy> {
  const { routes, credentials, isSilent = false } = options;
  const sockets = new Set<Socket | Duplex>();
  const targets: string[] = [];
  const keep = (socket: Socket | Duplex): void => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
  };
  const wanted = credentials === undefined ? undefined : `Basic ${Buffer.from(credentials).toString("base64")}`;
  const server = createServer();
  server.on("connection", keep);
  server.on("connect", (request: IncomingMessage, client: Duplex) => {
    const target = request.url ?? "";
    targets.push(target);
    if (isSilent) return;
    const refuse = (line: string): void => void client.end(`HTTP/1.1 ${line}\r\ncontent-length: 0\r\n\r\n`);
    if (wanted !== undefined && request.headers["proxy-authorization"] !== wanted) {
      refuse("407 Proxy Authentication Required");
      return;
    }
    const port = routes[target];
    if (port === undefined) {
      refuse("403 Forbidden");
      return;
    }
    const upstream = connect(port, "127.0.0.1", () => {
      client.write("HTTP/1.1 200 Connection established\r\n\r\n");
      client.pipe(upstream).pipe(client);
    });
    keep(upstream);
    upstream.on("close", () => client.destroy());
    client.on("close", () => upstream.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    targets,
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
