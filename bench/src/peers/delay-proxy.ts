/**
 * A TCP proxy that holds every byte back for a while, each way: a long link on one machine, without rights on its network.
 *
 * It delays and never throttles: bytes that arrive together leave together. What it holds is bounded, far above what
 * windows let be under way; a sender beyond that waits, as at a full buffer of a router.
 */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import type { PeerMethods } from "./peer.js";

/** Bytes held in one direction of one connection: eight windows of 8 MiB. */
const MAX_HELD_BYTES = 64 * 1024 * 1024;

interface DelayOptions {
  readonly port: number;
  readonly delayMs: number;
}

/** Makes the peer. */
export function createDelayProxy(): PeerMethods {
  return {
    async start(options: DelayOptions) {
      const server = createServer({ noDelay: true }, (incoming) => {
        const outgoing = connect({ port: options.port, host: "127.0.0.1", noDelay: true });
        for (const socket of [incoming, outgoing]) socket.on("error", () => socket.destroy());
        delay(incoming, outgoing, options.delayMs);
        delay(outgoing, incoming, options.delayMs);
      });
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      return (server.address() as AddressInfo).port;
    },
  };
}

/** Forwards from one socket to the other, `delayMs` later. */
function delay(from: Socket, to: Socket, delayMs: number): void {
  const held: { readonly dueAtMs: number; readonly bytes: Buffer }[] = [];
  let heldBytes = 0;
  let timer: NodeJS.Timeout | undefined;

  function forward(): void {
    timer = undefined;
    const nowMs = performance.now();
    const waiting = held.findIndex(({ dueAtMs }) => dueAtMs > nowMs);
    for (const { bytes } of held.splice(0, waiting === -1 ? held.length : waiting)) {
      heldBytes -= bytes.byteLength;
      to.write(bytes);
    }
    if (heldBytes < MAX_HELD_BYTES) from.resume();
    schedule();
  }

  function schedule(): void {
    const [next] = held;
    if (timer !== undefined || next === undefined) return;
    timer = setTimeout(forward, Math.max(0, next.dueAtMs - performance.now()));
  }

  from.on("data", (bytes: Buffer) => {
    held.push({ dueAtMs: performance.now() + delayMs, bytes });
    heldBytes += bytes.byteLength;
    if (heldBytes >= MAX_HELD_BYTES) from.pause();
    schedule();
  });
  from.on("close", () => setTimeout(() => to.end(), delayMs));
}
