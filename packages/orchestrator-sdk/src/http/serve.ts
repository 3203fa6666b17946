/**
 * Serves a fetch handler: on a TCP port, or on a Unix socket for the command lines of the same machine.
 *
 * Plain HTTP leaves tokens readable on the way, so an address that others can reach needs an explicit word.
 */
import { chmod, rm } from "node:fs/promises";
import type { Server, ServerResponse } from "node:http";
import { type AddressInfo, connect, isIPv6 } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import { CortexError } from "@cortex-mesh/protocol";
import type { FetchHandler } from "./handler.js";

/** A running server. */
export interface HttpServer {
  /** `http://127.0.0.1:8080`, or `unix:/path`. */
  readonly url: string;
  /** Takes no more connections, lets requests end for `graceMs` (default 2,000), then cuts them. Idempotent. */
  close(options?: { readonly graceMs?: number }): Promise<void>;
}

/** Where to serve. */
export interface ServeHttpOptions {
  readonly fetch: FetchHandler;
  /** A name, or an address; one of IPv6 with or without brackets. @default "127.0.0.1" */
  readonly host?: string;
  /** 0 picks a free one. */
  readonly port: number;
  /** Serves plain HTTP also on an address that is not loopback. @default false */
  readonly canLeaveLoopback?: boolean | undefined;
}

/** Time for the headers of a request; a body may take as long as what consumes it. */
const HEADERS_TIMEOUT_MS = 30_000;
/** Time that a closing server gives the requests that are under way. */
const DEFAULT_CLOSE_GRACE_MS = 2000;

/**
 * Serves over TCP.
 *
 * @throws CortexError `POLICY_DENIED` for an address beyond loopback without `canLeaveLoopback`; the system's
 * error when the address cannot be bound.
 */
export async function serveHttp(options: ServeHttpOptions): Promise<HttpServer> {
  const { fetch, port, canLeaveLoopback = false } = options;
  const host = (options.host ?? "127.0.0.1").replace(/^\[(.*)\]$/, "$1");
  if (!isLoopback(host) && !canLeaveLoopback) {
    const message = `plain HTTP on ${host} would show tokens to the network; serve on 127.0.0.1, or allow it explicitly`;
    throw new CortexError("POLICY_DENIED", message);
  }
  const server = createServer(fetch);
  await listen(server, { host, port });
  const address = server.address() as AddressInfo;
  const name = isIPv6(address.address) ? `[${address.address}]` : address.address;
  return toHttpServer(server, `http://${name}:${address.port}`);
}

/**
 * Serves on a Unix socket that only this user may use; a socket that nobody serves any more is replaced.
 *
 * @throws CortexError `STATE_IN_USE` when another process serves it.
 */
export async function serveSocket(options: {
  readonly fetch: FetchHandler;
  readonly path: string;
}): Promise<HttpServer> {
  const { fetch, path } = options;
  if (await isServed(path)) throw new CortexError("STATE_IN_USE", `another process serves ${path}`);
  await rm(path, { force: true });
  const server = createServer(fetch);
  await listen(server, { path });
  await chmod(path, 0o600);
  return toHttpServer(server, `unix:${path}`);
}

/** Whether an address is reachable from this machine only. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(?:\.[0-9]{1,3}){3}$/.test(host);
}

function createServer(fetch: FetchHandler): Server {
  const server = createAdaptorServer({
    fetch: async (request, { outgoing }) => cutOnFailure(await fetch(request), outgoing as ServerResponse),
    overrideGlobalObjects: false,
    serverOptions: { requestTimeout: 0, headersTimeout: HEADERS_TIMEOUT_MS },
  });
  return server as Server;
}

/** A body that fails half-way cuts the connection: the client must not take it for complete. */
function cutOnFailure(response: Response, outgoing: ServerResponse): Response {
  if (response.body === null || !response.headers.has("content-length")) return response;
  const reader = response.body.getReader();
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = (await reader.read()) as { done: boolean; value?: Uint8Array };
          if (done || value === undefined) controller.close();
          else controller.enqueue(value);
        } catch {
          // The part that failed has reported it.
          outgoing.destroy();
          controller.close();
        }
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { status: response.status, headers: response.headers });
}

async function listen(server: Server, where: { host: string; port: number } | { path: string }): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(where, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

function toHttpServer(server: Server, url: string): HttpServer {
  let closed: Promise<void> | undefined;
  return {
    url,
    close({ graceMs = DEFAULT_CLOSE_GRACE_MS } = {}) {
      closed ??= new Promise<void>((resolve) => {
        const timer = setTimeout(() => server.closeAllConnections(), graceMs);
        server.close(() => {
          clearTimeout(timer);
          resolve();
        });
        server.closeIdleConnections();
      });
      return closed;
    },
  };
}
