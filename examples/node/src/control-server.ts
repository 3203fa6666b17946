/**
 * The control socket of a running node: HTTP on a Unix socket in its state directory, for whoever may open that.
 *
 * The node holds the lock of the directory by then, so a socket that is in the way was left by a killed one.
 */
import { chmod, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { CortexError, toCortexError } from "@cortex-mesh/protocol";
import { openControlAddress } from "./control-address.js";

/** Answers by method and path: `GET /status`. */
export type ControlRoutes = Readonly<Record<string, () => unknown>>;

/** A bound control socket. */
export interface ControlServer {
  /** Lets answers end and removes the socket. Idempotent. */
  close(): Promise<void>;
}

/** Serves `routes` in a state directory whose lock is held. */
export async function serveControlSocket(directory: string, routes: ControlRoutes): Promise<ControlServer> {
  const address = openControlAddress(directory);
  const server = createServer((request, response) => {
    answer(routes, request, response).catch(() => response.destroy());
  });
  try {
    await rm(address.path, { force: true });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(address.path, resolve);
    });
    await chmod(address.path, 0o600);
  } catch (error) {
    server.close();
    address.release();
    throw error;
  }
  let closing: Promise<void> | undefined;
  return {
    close() {
      closing ??= new Promise((resolve) => {
        server.close(() => {
          address.release();
          resolve();
        });
        server.closeIdleConnections();
      });
      return closing;
    },
  };
}

async function answer(routes: ControlRoutes, request: IncomingMessage, response: ServerResponse): Promise<void> {
  request.resume();
  const target = `${request.method ?? "GET"} ${request.url ?? "/"}`;
  try {
    const route = Object.hasOwn(routes, target) ? routes[target] : undefined;
    if (route === undefined) throw new CortexError("NOT_FOUND", `the control socket has no ${target}`);
    sendJson(response, 200, await route());
  } catch (error) {
    const { code, message, httpStatus } = toCortexError(error);
    sendJson(response, httpStatus, { code, detail: message });
  }
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { "content-type": "application/json", connection: "close" });
  response.end(JSON.stringify(value ?? null));
}
