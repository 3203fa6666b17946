/** `host:port` taken apart. */
import { CortexError } from "../errors.js";

/** Where to connect. */
export interface HostPort {
  /** Name or IP address in lower case, IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
}

/** Characters of an address that an error shows. */
const MAX_SHOWN_CHARACTERS = 128;

/**
 * Reads `host:port`; 443 where there is no port.
 *
 * @throws CortexError `BAD_REQUEST` for an address that is none.
 */
export function parseAddress(address: string): HostPort {
  const url = URL.canParse(`https://${address}`) ? new URL(`https://${address}`) : undefined;
  if (url === undefined || url.hostname === "") {
    throw new CortexError(
      "BAD_REQUEST",
      `"${address.slice(0, MAX_SHOWN_CHARACTERS)}" is not an address of the form host:port`,
    );
  }
  return { host: hostOf(url), port: url.port === "" ? 443 : Number(url.port) };
}

/** The host of a URL, IPv6 without brackets. */
export function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, "");
}

/** Puts an address together again, IPv6 in brackets. */
export function formatAddress({ host, port }: HostPort): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
