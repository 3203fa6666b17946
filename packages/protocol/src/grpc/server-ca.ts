/**
 * First contact: gets the certificate authority of a hub from the hub itself and accepts it by its fingerprint alone.
 *
 * The invite carries the fingerprint, so nothing else has to be trusted. This proves only that the authority is the
 * pinned one; that the peer owns a certificate of it is proven by the next, ordinary connection.
 */
import { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import { isEqualSecret, sha256 } from "../encoding.js";
import { CortexError } from "../errors.js";
import type { ProxyEnvironment } from "./proxy.js";
import { dialTls } from "./tls-dial.js";

/** Whom to ask and what to accept. */
export interface FetchServerCaOptions {
  /** `host:port`. */
  readonly address: string;
  /** SHA-256 of the authority's certificate (DER), 32 bytes. */
  readonly fingerprint: Uint8Array;
  /** Time for the whole exchange, in milliseconds. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Where the proxy is named. @default process.env */
  readonly env?: ProxyEnvironment | undefined;
}

/** Certificates of a chain that are looked at; real ones have two or three. */
const MAX_CHAIN_LENGTH = 8;

/**
 * Gives the hub's certificate authority as PEM.
 *
 * @throws CortexError `UNAUTHENTICATED` when the hub shows no self-signed authority with this fingerprint;
 * `UNAVAILABLE` when it or the proxy cannot be reached, `TIMED_OUT`, `CANCELLED`; `BAD_REQUEST` for an address that is none.
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

async function readPeerChain(options: FetchServerCaOptions): Promise<X509Certificate[]> {
  // Not verified on purpose: the fingerprint decides, and nothing is sent over this connection.
  const socket = await dialTls({ ...options, tls: { rejectUnauthorized: false } });
  try {
    return chainOf(socket);
  } finally {
    socket.destroy();
  }
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
