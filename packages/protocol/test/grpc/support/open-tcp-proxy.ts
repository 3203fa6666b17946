/** A TCP proxy on loopback that can be cut or frozen. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A proxy to one port. */
export interface TcpProxy extends AsyncDisposable {
  readonly address: string;
  /** Ends every connection: with a reset, or with a FIN. */
  cut(how: "reset" | "fin"): void;
  /** Forwards nothing more, and ends nothing. */
  freeze(): void;
}

/** Opens a proxy to `port`. */
export async function openTcpProxy(port: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
  };
  const server = createServer((incoming) => {
    const outgoing = connect(port, "127.0.0.1");
    keep(incoming);
    keep(outgoing);
    incoming.pipe(outgoing);
    outgoing.pipe(incoming);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const cut = (how: "reset" | "fin"): void => {
    for (const socket of sockets) {
      if (how === "reset") socket.resetAndDestroy();
      else socket.destroy();
    }
  };
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut,
    freeze() {
      for (const socket of sockets) {
        socket.unpipe();
        socket.pause();
      }
    },
    async [Symbol.asyncDispose]() {
      cut("reset");
      const closed = once(server, "close");
      server.close();
      await closed;
    },
  };
}
