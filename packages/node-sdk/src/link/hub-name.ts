/**
 * The name in a hub's certificate, before the node knows the hub's id.
 *
 * The certificate must be of the given authority; only its name is taken as it is. An internal authority signs for its
 * hub alone, and the id that the hub gives afterwards is what every later connection is checked against.
 */
import { connect } from "node:tls";
import { CortexError } from "@cortex-mesh/protocol";

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
 * `UNAVAILABLE` when the hub cannot be reached in time; `BAD_REQUEST` for an address that is none.
 */
export function readHubName({ address, caPem, timeoutMs }: HubNameOptions): Promise<string> {
  const { host, port } = splitAddress(address);
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, ca: caPem, checkServerIdentity: () => undefined, ALPNProtocols: ["h2"] });
    const finish = (settle: () => void): void => {
      clearTimeout(timer);
      socket.destroy();
      settle();
    };
    const fail = (error: CortexError): void => finish(() => reject(error));
    const timer = setTimeout(() => fail(unreachable(address, `no answer within ${timeoutMs} ms`)), timeoutMs);
    socket.once("secureConnect", () => {
      const names = socket.getPeerX509Certificate()?.subjectAltName ?? "";
      const name = /(?:^|, )DNS:([A-Za-z0-9.-]+)/.exec(names)?.[1];
      if (name === undefined) fail(new CortexError("UNAUTHENTICATED", `the hub at ${address} has no name`));
      else finish(() => resolve(name));
    });
    socket.once("error", (error: NodeJS.ErrnoException) => {
      const isTrust = socket.authorizationError !== undefined && socket.authorizationError !== null;
      if (!isTrust) return fail(unreachable(address, error.message));
      fail(new CortexError("UNAUTHENTICATED", `the hub at ${address} is not the one of the invite`, { cause: error }));
    });
  });
}

function splitAddress(address: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(address);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port < 1 || port > 65_535) {
    throw new CortexError("BAD_REQUEST", `"${address}" is no address of a hub: use host:port`);
  }
  return { host, port };
}

function unreachable(address: string, problem: string): CortexError {
  return new CortexError("UNAVAILABLE", `the hub at ${address} cannot be reached: ${problem}`);
}
