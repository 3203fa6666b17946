/**
 * First contact: gets the certificate authority of a hub from the hub itself and accepts it by its fingerprint alone.
 *
 * The invite carries the fingerprint, so nothing else has to be trusted. This proves only that the authority is the
 * pinned one; that the peer owns a certificate of it is proven by the next, ordinary connection.
 */
import { X509Certificate } from "node:crypto";
import { connect, type TLSSocket } from "node:tls";
import { isEqualSecret, sha256 } from "../encoding.js";
import { CortexError } from "../errors.js";

/** Whom to ask and what to accept. */
export interface FetchServerCaOptions {
  /** `host:port`. */
  readonly address: string;
  /** SHA-256 of the authority's certificate (DER), 32 bytes. */
  readonly fingerprint: Uint8Array;
  /** Time for the whole exchange, in milliseconds. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Certificates of a chain that are looked at; real ones have two or three. */
const MAX_CHAIN_LENGTH = 8;

/**
 * Gives the hub's certificate authority as PEM.
 *
 * @throws {@link CortexError} `UNAUTHENTICATED` when the hub shows no self-signed authority with this fingerprint;
 * `UNAVAILABLE` when it cannot be reached, `TIMED_OUT`, `CANCELLED`; `BAD_REQUEST` for an address that is none.
 */
export async function fetchServerCa(options: FetchServerCaOptions): Promise<string> {
  const chain = await readPeerChain(options);
  const authority = chain.find((certificate) => isEqualSecret(sha256(certificate.raw), options.fingerprint));
  if (authority === undefined || !isSelfSignedAuthority(authority)) {
    throw new CortexError(
      "UNAUTHENTICATED",
      `the invite and the hub at ${options.address} do not match: make a new invite`,
    );
  }
  return authority.toString();
}

function isSelfSignedAuthority(certificate: X509Certificate): boolean {
  return certificate.ca && certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey);
}

function readPeerChain({ address, timeoutMs, signal }: FetchServerCaOptions): Promise<X509Certificate[]> {
  const { host, port } = parseAddress(address);
  return new Promise((resolve, reject) => {
    // Not verified on purpose: the fingerprint decides, and nothing is sent over this connection.
    const socket = connect({ host, port, rejectUnauthorized: false, ALPNProtocols: ["h2"] });
    const finish = (outcome: CortexError | X509Certificate[]): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      socket.destroy();
      if (outcome instanceof CortexError) reject(outcome);
      else resolve(outcome);
    };
    const onAbort = (): void => finish(new CortexError("CANCELLED", "the caller withdrew", { cause: signal?.reason }));
    const timer = setTimeout(
      () => finish(new CortexError("TIMED_OUT", `the hub at ${address} did not answer within ${timeoutMs} ms`)),
      timeoutMs,
    );
    if (signal?.aborted) onAbort();
    else signal?.addEventListener("abort", onAbort, { once: true });
    socket.once("secureConnect", () => finish(chainOf(socket)));
    socket.once("close", () => finish(new CortexError("UNAVAILABLE", `the hub at ${address} closed the connection`)));
    socket.on("error", (error) =>
      finish(new CortexError("UNAVAILABLE", `cannot reach the hub at ${address}: ${error.message}`, { cause: error })),
    );
  });
}

function chainOf(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = [];
  let current = socket.getPeerCertificate(true);
  while (chain.length < MAX_CHAIN_LENGTH && Buffer.isBuffer(current.raw)) {
    chain.push(new X509Certificate(current.raw));
    // A root is its own issuer; the last of an incomplete chain has none.
    if (current.issuerCertificate === undefined || current.issuerCertificate === current) break;
    current = current.issuerCertificate;
  }
  return chain;
}

function parseAddress(address: string): { readonly host: string; readonly port: number } {
  const url = URL.canParse(`https://${address}`) ? new URL(`https://${address}`) : undefined;
  if (url === undefined || url.hostname === "") {
    throw new CortexError("BAD_REQUEST", `"${address.slice(0, 128)}" is not an address of the form host:port`);
  }
  return { host: url.hostname.replace(/^\[|\]$/g, ""), port: url.port === "" ? 443 : Number(url.port) };
}
