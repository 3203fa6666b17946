/**
 * A bare TLS connection to a hub, for a look at its certificate before a channel can be opened. It takes the same way
 * as channels: through the proxy of the environment where there is one.
 */
import { once } from "node:events";
import { connect as connectTcp, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";
import { CortexError, isCortexError, toCortexError } from "../errors.js";
import { formatAddress, parseAddress } from "./address.js";
import { type Proxy, type ProxyEnvironment, proxyFor } from "./proxy.js";
import { openTunnel, proxyError } from "./proxy-tunnel.js";

/** Whom to reach and whom to trust. */
export interface DialTlsOptions {
  /** `host:port`. */
  readonly address: string;
  /** Time for the whole dial, in milliseconds. */
  readonly timeoutMs: number;
  readonly tls: Pick<ConnectionOptions, "ca" | "rejectUnauthorized" | "checkServerIdentity">;
  readonly signal?: AbortSignal | undefined;
  /** Where the proxy is named. @default process.env */
  readonly env?: ProxyEnvironment | undefined;
}

/**
 * Connects and gives the socket, which belongs to the caller, after the TLS handshake.
 *
 * @throws CortexError `UNAUTHENTICATED` when the certificate is not trusted; `UNAVAILABLE` when the hub or the
 * proxy cannot be reached or refuses, `TIMED_OUT`, `CANCELLED`; `BAD_REQUEST` for an address that is none.
 */
export async function dialTls(options: DialTlsOptions): Promise<TLSSocket> {
  const { address, timeoutMs, signal, env = process.env } = options;
  const target = parseAddress(address);
  const proxy = proxyFor(address, env);
  if (signal?.aborted) throw withdrawn(signal);
  const { host, port } = proxy ?? target;
  const tcp = connectTcp({ host, port });
  return new Promise((resolve, reject) => {
    const fail = (error: CortexError): void => {
      release();
      tcp.destroy();
      reject(error);
    };
    const onAbort = (): void => fail(withdrawn(signal));
    const timer = setTimeout(
      () => fail(new CortexError("TIMED_OUT", `the hub at ${address} did not answer within ${timeoutMs} ms`)),
      timeoutMs,
    );
    const release = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    secure(tcp, { ...options, proxy }).then(
      (socket) => {
        release();
        resolve(socket);
      },
      (error: unknown) => fail(toCortexError(error, "UNAVAILABLE")),
    );
  });
}

type SecureOptions = DialTlsOptions & { readonly proxy: Proxy | undefined };

async function secure(tcp: Socket, options: SecureOptions): Promise<TLSSocket> {
  const { address, proxy } = options;
  try {
    await once(tcp, "connect");
    if (proxy !== undefined) await openTunnel(tcp, { proxy, target: formatAddress(parseAddress(address)) });
    return await shakeHands(tcp, options);
  } catch (error) {
    if (isCortexError(error)) throw error;
    const problem = error instanceof Error ? error.message : String(error);
    if (proxy !== undefined) throw proxyError(proxy, `cannot be reached: ${problem}`);
    throw new CortexError("UNAVAILABLE", `cannot reach the hub at ${address}: ${problem}`, { cause: error });
  }
}

function shakeHands(tcp: Socket, { address, tls }: SecureOptions): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const { host } = parseAddress(address);
    const socket = connectTls({ ...tls, host, socket: tcp, ALPNProtocols: ["h2"] });
    socket.once("secureConnect", () => resolve(socket));
    socket.once("close", () => reject(new CortexError("UNAVAILABLE", `the hub at ${address} closed the connection`)));
    // Stays, so that a connection that is lost later ends nothing but itself.
    socket.on("error", (error) => {
      const isTrust = socket.authorizationError !== undefined && socket.authorizationError !== null;
      const problem = isTrust ? "shows a certificate that is not trusted" : "broke the connection off";
      const code = isTrust ? "UNAUTHENTICATED" : "UNAVAILABLE";
      reject(new CortexError(code, `the hub at ${address} ${problem}: ${error.message}`, { cause: error }));
    });
  });
}

function withdrawn(signal: AbortSignal | undefined): CortexError {
  return new CortexError("CANCELLED", "the caller withdrew", { cause: signal?.reason });
}
