/**
 * The name in a hub's certificate, before the node knows the hub's id.
 *
 * The certificate must be of the given authority; only its name is taken as it is. An internal authority signs for its
 * hub alone, and the id that the hub gives afterwards is what every later connection is checked against.
 */
import { CortexError } from "@cortex-mesh/protocol";
import { dialTls } from "@cortex-mesh/protocol/grpc";

/** Whom to ask. */
export interface HubNameOptions {
  /** `host:port`. */
  readonly address: string;
  /** Authority that the certificate must be of, PEM. */
  readonly caPem: string;
  readonly timeoutMs: number;
}

/**
 * Gives the first DNS name of the hub's certificate.
 *
 * @throws CortexError `UNAUTHENTICATED` when the certificate is not of the authority or has no name;
 * `UNAVAILABLE` when the hub or the proxy cannot be reached, `TIMED_OUT`; `BAD_REQUEST` for an address that is none.
 */
export async function readHubName({ address, caPem, timeoutMs }: HubNameOptions): Promise<string> {
  const socket = await dialTls({ address, timeoutMs, tls: { ca: caPem, checkServerIdentity: () => undefined } });
  try {
    const names = socket.getPeerX509Certificate()?.subjectAltName ?? "";
    const name = /(?:^|, )DNS:([A-Za-z0-9.-]+)/.exec(names)?.[1];
    if (name === undefined) throw new CortexError("UNAUTHENTICATED", `the hub at ${address} has no name`);
    return name;
  } finally {
    socket.destroy();
  }
}
