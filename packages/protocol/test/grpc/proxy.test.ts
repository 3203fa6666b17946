import { describe, expect, it } from "vitest";
import { type ProxyEnvironment, proxyFor } from "../../src/grpc/proxy.js";

const PROXY = "http://proxy.corp.example:3128";

function addressOf(address: string, env: ProxyEnvironment): string | undefined {
  return proxyFor(address, env)?.address;
}

/** Whether `address` goes around the proxy with this list of exceptions. */
function isDirect(address: string, exceptions: string): boolean {
  return proxyFor(address, { HTTPS_PROXY: PROXY, NO_PROXY: exceptions }) === undefined;
}

describe("proxy of the environment", () => {
  it("T1: the proxy is read in small letters and in capitals, the more specific variable first", () => {
    const hub = "hub.example:443";
    expect(addressOf(hub, {})).toBeUndefined();
    for (const name of ["grpc_proxy", "GRPC_PROXY", "https_proxy", "HTTPS_PROXY", "http_proxy"]) {
      expect(addressOf(hub, { [name]: PROXY })).toBe("proxy.corp.example:3128");
    }
    const order = { http_proxy: "d", HTTPS_PROXY: "c", https_proxy: "b", grpc_proxy: "a" };
    expect(addressOf(hub, order)).toBe("a:80");
    expect(addressOf(hub, { ...order, grpc_proxy: "" })).toBe("b:80");
    expect(addressOf(hub, { ...order, grpc_proxy: "", https_proxy: " " })).toBe("c:80");
  });

  it("T1: HTTP_PROXY in capitals, which a web request can set in a CGI program, is not read", () => {
    expect(addressOf("hub.example:443", { HTTP_PROXY: PROXY })).toBeUndefined();
  });

  it("T1: a proxy may have no scheme, no port, an IPv6 address, a user and an encoded password", () => {
    const read = (value: string) => proxyFor("hub.example:443", { https_proxy: value });
    expect(read("proxy")).toMatchObject({ host: "proxy", port: 80, credentials: undefined });
    expect(read("[fd00::1]:3128")).toMatchObject({ host: "fd00::1", port: 3128, address: "[fd00::1]:3128" });
    expect(read("http://us%65r:p%40ss%3A@proxy:1/")).toMatchObject({ address: "proxy:1", credentials: "user:p@ss:" });
    expect(read("http://user@proxy:1")).toMatchObject({ credentials: "user:" });
  });

  it("T1: a value that names no HTTP proxy is refused with the variable's name and without its value", () => {
    const refused = (value: string) => {
      try {
        proxyFor("hub.example:443", { HTTPS_PROXY: value });
      } catch (error) {
        return error;
      }
      return undefined;
    };
    for (const value of [
      "http://user:hush@",
      "https://user:hush@proxy",
      "socks5://user:hush@proxy",
      "http://u:hush%zz@p",
    ]) {
      const error = refused(value);
      expect(error).toMatchObject({ code: "BAD_REQUEST", message: expect.stringContaining("HTTPS_PROXY") });
      expect(JSON.stringify([String(error), (error as Error).cause ?? ""])).not.toContain("hush");
    }
  });

  it("T1: this machine is never reached through a proxy", () => {
    for (const host of [
      "localhost",
      "LOCALHOST.",
      "hub.localhost",
      "127.0.0.1",
      "127.8.9.1",
      "[::1]",
      "0.0.0.0",
      "[::]",
    ]) {
      expect(addressOf(`${host}:50051`, { https_proxy: PROXY }), host).toBeUndefined();
    }
    expect(addressOf("[::ffff:127.0.0.1]:50051", { https_proxy: PROXY })).toBeUndefined();
    expect(addressOf("notlocalhost:50051", { https_proxy: PROXY })).toBeDefined();
    expect(addressOf("128.0.0.1:50051", { https_proxy: PROXY })).toBeDefined();
  });

  it("T1: exceptions are names with all below them, and nothing that only ends alike", () => {
    for (const exception of [
      "corp.example",
      ".corp.example",
      "*.corp.example",
      "a,  CORP.example ,b",
      "x corp.example",
    ]) {
      expect(isDirect("hub.corp.example:443", exception), exception).toBe(true);
      expect(isDirect("corp.example.:443", exception), exception).toBe(true);
      expect(isDirect("mycorp.example:443", exception), exception).toBe(false);
      expect(isDirect("corp.example.net:443", exception), exception).toBe(false);
    }
    expect(isDirect("hub.corp.example:443", "*")).toBe(true);
    expect(isDirect("hub.corp.example:443", ", ,.")).toBe(false);
  });

  it("T1: an exception with a port holds for that port alone", () => {
    expect(isDirect("hub.corp.example:8443", "corp.example:8443")).toBe(true);
    expect(isDirect("hub.corp.example", "corp.example:443")).toBe(true);
    expect(isDirect("hub.corp.example:443", "corp.example:8443")).toBe(false);
    expect(isDirect("[fd00::7]:443", "[fd00::7]:443")).toBe(true);
    expect(isDirect("[fd00::7]:443", "[fd00::7]:444")).toBe(false);
  });

  it("T1: exceptions are addresses and networks, however an address is written", () => {
    expect(isDirect("10.1.2.3:443", "10.0.0.0/8")).toBe(true);
    expect(isDirect("11.1.2.3:443", "10.0.0.0/8")).toBe(false);
    expect(isDirect("10.1.2.3:443", "10.1.2.3")).toBe(true);
    expect(isDirect("10.1.2.30:443", "10.1.2.3")).toBe(false);
    expect(isDirect("[fd00:0:0::7]:443", "fd00::7")).toBe(true);
    expect(isDirect("[fd00::7]:443", "fd00::/8")).toBe(true);
    expect(isDirect("[fe00::7]:443", "fd00::/8")).toBe(false);
    for (const exception of ["10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/x", "/8", ".2.3", "2.3"]) {
      expect(isDirect("10.1.2.3:443", exception), exception).toBe(false);
    }
  });

  it("T1: the list for gRPC comes before the common one", () => {
    const env = { https_proxy: PROXY, no_proxy: "hub.example" };
    expect(addressOf("hub.example:443", env)).toBeUndefined();
    expect(addressOf("hub.example:443", { ...env, NO_GRPC_PROXY: "other.example" })).toBeDefined();
  });
});
