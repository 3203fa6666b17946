/**
 * Which HTTP proxy leads to a hub, by the environment variables that other tools read too.
 *
 * - The first that is set of `grpc_proxy`, `https_proxy` and `http_proxy` names the proxy: `http://[user:password@]host[:port]`,
 *   the scheme may be missing. Capitals count as well, after the small ones, except `HTTP_PROXY`: where a program
 *   answers web requests (CGI), whoever sends one sets it.
 * - `no_grpc_proxy`, or else `no_proxy`, lists what is reached without: `*`, a name with all below it (`corp.example`,
 *   `.corp.example`, `*.corp.example`), an IP address, a network (`10.0.0.0/8`), each with or without a port. Names
 *   are compared as they are written and never looked up.
 * - This machine is never reached through a proxy.
 *
 * Pure: the environment is passed in. An empty variable counts as one that is not set.
 */
import { BlockList, isIP } from "node:net";
import { CortexError } from "../errors.js";
import { formatAddress, type HostPort, hostOf, parseAddress } from "./address.js";

/** Environment variables by name, `process.env` or what stands for it. */
export type ProxyEnvironment = Readonly<Record<string, string | undefined>>;

/** An HTTP proxy that opens connections with CONNECT. */
export interface Proxy extends HostPort {
  /** `host:port`, fit for messages: never with credentials. */
  readonly address: string;
  /** `user:password`, a secret. */
  readonly credentials: string | undefined;
}

const PROXY_VARIABLES = ["grpc_proxy", "GRPC_PROXY", "https_proxy", "HTTPS_PROXY", "http_proxy"];
const EXCEPTION_VARIABLES = ["no_grpc_proxy", "NO_GRPC_PROXY", "no_proxy", "NO_PROXY"];

const LOOPBACK_NAMES = ["localhost"];
/** The unspecified addresses lead to this machine as well. */
const LOOPBACK_NETWORKS = ["127.0.0.0/8", "::1", "0.0.0.0", "::"];

/**
 * Gives the proxy for `address` (`host:port`); undefined when it is reached directly.
 *
 * @throws CortexError `BAD_REQUEST` when the variable names no HTTP proxy, or the address is none.
 */
export function proxyFor(address: string, env: ProxyEnvironment): Proxy | undefined {
  const variable = firstSet(env, PROXY_VARIABLES);
  if (variable === undefined) return undefined;
  const { host, port } = parseAddress(address);
  const target = { host: host.replace(/\.$/, ""), port };
  if (isLoopback(target.host)) return undefined;
  const exceptions = (firstSet(env, EXCEPTION_VARIABLES)?.value ?? "").toLowerCase().split(/[\s,]+/);
  if (exceptions.some((entry) => isException(entry, target))) return undefined;
  return parseProxy(variable);
}

interface Variable {
  readonly name: string;
  readonly value: string;
}

function firstSet(env: ProxyEnvironment, names: readonly string[]): Variable | undefined {
  for (const name of names) {
    const value = env[name]?.trim();
    if (value !== undefined && value !== "") return { name, value };
  }
  return undefined;
}

function isLoopback(host: string): boolean {
  if (isIP(host) !== 0) return LOOPBACK_NETWORKS.some((network) => isInNetwork(host, network));
  return LOOPBACK_NAMES.some((name) => isNameBelow(host, name));
}

function isException(entry: string, { host, port }: HostPort): boolean {
  if (entry === "*") return true;
  const [, bracketed, plain, onlyPort] = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(entry) ?? [];
  if (onlyPort !== undefined && Number(onlyPort) !== port) return false;
  const pattern = bracketed ?? plain ?? entry.replace(/^\[|\]$/g, "");
  return isIP(host) === 0 ? isNameBelow(host, pattern.replace(/^\*?\./, "")) : isInNetwork(host, pattern);
}

function isNameBelow(host: string, name: string): boolean {
  return name !== "" && (host === name || host.endsWith(`.${name}`));
}

/** Whether an IP address is `network`, or in it; false for what is no network. */
function isInNetwork(ip: string, network: string): boolean {
  const [base = "", bits] = network.split("/");
  if (isIP(base) === 0) return false;
  const longest = isIP(base) === 4 ? 32 : 128;
  const prefix = bits === undefined ? longest : /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN;
  if (!(prefix <= longest)) return false;
  const list = new BlockList();
  list.addSubnet(base, prefix, familyOf(base));
  return list.check(ip, familyOf(ip));
}

function familyOf(ip: string): "ipv4" | "ipv6" {
  return isIP(ip) === 4 ? "ipv4" : "ipv6";
}

/** Errors name the variable and never its value, which may hold a password. */
function parseProxy({ name, value }: Variable): Proxy {
  const text = value.includes("://") ? value : `http://${value}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.hostname === "")
    throw new CortexError("BAD_REQUEST", `${name} is no address of a proxy`);
  if (url.protocol !== "http:") {
    throw new CortexError(
      "BAD_REQUEST",
      `${name} names a proxy of the kind "${url.protocol}//"; only http:// is known`,
    );
  }
  const endpoint = { host: hostOf(url), port: url.port === "" ? 80 : Number(url.port) };
  return { ...endpoint, address: formatAddress(endpoint), credentials: credentialsOf(name, url) };
}

function credentialsOf(name: string, { username, password }: URL): string | undefined {
  if (username === "") return undefined;
  try {
    return `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  } catch {
    // The cause would show the value.
    throw new CortexError("BAD_REQUEST", `the user or password in ${name} is not percent-encoded`);
  }
}
