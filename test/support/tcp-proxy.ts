/** A TCP proxy on loopback that can stall and cut what goes through it, as a bad network does. */
import { connect, createServer, type Socket } from "node:net";

/** A proxy under way. */
export interface TcpProxy extends AsyncDisposable {
  /** `host:port` to dial. */
  readonly address: string;
  /** Where it leads; connections before that wait. */
  leadTo(address: string): void;
  /** From now on nothing moves in either direction, and new connections lead nowhere; nobody is told. */
  stall(): void;
  /** What was stalled moves again. */
  heal(): void;
  /** Ends every connection with a reset. Gives how many there were. */
  cut(): number;
}

interface Pair {
  readonly near: Socket;
  far: Socket | undefined;
}

/** Opens a proxy on a free port. */
export async function openTcpProxy(): Promise<TcpProxy> {
  const pairs = new Set<Pair>();
  let target: { readonly host: string; readonly port: number } | undefined;
  let isStalled = false;

  const end = (pair: Pair): void => {
    pairs.delete(pair);
    pair.near.resetAndDestroy();
    pair.far?.resetAndDestroy();
  };
  const lead = (pair: Pair): void => {
    if (target === undefined || isStalled || pair.far !== undefined) return;
    const far = connect({ ...target, noDelay: true });
    pair.far = far;
    for (const socket of [pair.near, far]) socket.on("error", () => end(pair)).on("close", () => end(pair));
    pair.near.pipe(far);
    far.pipe(pair.near);
  };
  const server = createServer({ noDelay: true, pauseOnConnect: true }, (near) => {
    const pair: Pair = { near, far: undefined };
    near.on("error", () => end(pair));
    pairs.add(pair);
    lead(pair);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;
  return {
    address: `127.0.0.1:${port}`,
    leadTo(next) {
      const [host = "", nextPort = ""] = next.split(":");
      target = { host, port: Number(nextPort) };
      for (const pair of pairs) lead(pair);
    },
    stall() {
      isStalled = true;
      for (const { near, far } of pairs) {
        near.unpipe();
        far?.unpipe();
        near.pause();
        far?.pause();
      }
    },
    heal() {
      isStalled = false;
      for (const pair of pairs) {
        const { near, far } = pair;
        if (far === undefined) {
          lead(pair);
          continue;
        }
        near.pipe(far);
        far.pipe(near);
      }
    },
    cut() {
      const count = pairs.size;
      for (const pair of [...pairs]) end(pair);
      return count;
    },
    async [Symbol.asyncDispose]() {
      for (const pair of [...pairs]) end(pair);
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
