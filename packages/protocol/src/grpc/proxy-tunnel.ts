/**
 * Asks an HTTP proxy for a connection to a hub (CONNECT, RFC 9110 section 9.3.6), with basic authentication.
 *
 * What goes through afterwards is TLS between node and hub: the proxy sees the address and how much is sent.
 */
import { request as httpRequest } from "node:http";
import type { Socket } from "node:net";
import { CortexError, type ErrorDetails } from "../errors.js";
import type { Proxy } from "./proxy.js";
import { PROXY_ANSWER_TIMEOUT_MS } from "./transport-limits.js";

/** Whom to ask for what. */
export interface TunnelOptions {
  readonly proxy: Proxy;
  /** `host:port` behind the proxy; the proxy looks the name up. */
  readonly target: string;
  /** Time for the proxy's answer, in milliseconds. @default {@link PROXY_ANSWER_TIMEOUT_MS} */
  readonly timeoutMs?: number;
}

/**
 * Turns a connection to the proxy into one to `target`; it is destroyed when that fails.
 *
 * @throws CortexError `UNAVAILABLE` when the proxy refuses or does not answer; the message and `details` name
 * the proxy, never its credentials.
 */
export function openTunnel(socket: Socket, options: TunnelOptions): Promise<Socket> {
  const { proxy, target, timeoutMs = PROXY_ANSWER_TIMEOUT_MS } = options;
  return new Promise((resolve, reject) => {
    const fail = (problem: string, details: ErrorDetails = {}): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(proxyError(proxy, problem, details));
    };
    const timer = setTimeout(() => fail(`did not answer within ${timeoutMs} ms`), timeoutMs);
    const request = httpRequest({
      method: "CONNECT",
      path: target,
      headers: headersOf(proxy, target),
      createConnection: () => socket,
    });
    request.once("connect", ({ statusCode: status = 0 }, _socket, early) => {
      clearTimeout(timer);
      if (status < 200 || status > 299) {
        fail(refusal(status, target), { status });
        return;
      }
      if (early.byteLength > 0) socket.unshift(early);
      resolve(socket);
    });
    // Stays for the life of the socket: Node tells its errors to the request as well.
    request.on("error", (error) => fail(`gave no answer: ${error.message}`));
    request.end();
  });
}

/** Why a proxy could not be used. */
export function proxyError(proxy: Proxy, problem: string, details: ErrorDetails = {}): CortexError {
  return new CortexError("UNAVAILABLE", `the proxy ${proxy.address} ${problem}`, {
    details: { proxy: proxy.address, ...details },
  });
}

function headersOf({ credentials }: Proxy, target: string): Readonly<Record<string, string>> {
  // Said because Node's own word without an agent is "close", which some proxies take for the tunnel.
  const headers = { host: target, connection: "keep-alive" };
  if (credentials === undefined) return headers;
  return { ...headers, "proxy-authorization": `Basic ${Buffer.from(credentials).toString("base64")}` };
}

function refusal(status: number, target: string): string {
  if (status === 407) return "wants other credentials: it answered 407";
  return `refuses a connection to ${target}: it answered ${status}`;
}
