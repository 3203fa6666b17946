import { homedir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ExitError } from "../src/exit-status.js";
import { type HubFlags, isEndpoint, readSettings } from "../src/settings.js";

interface Layers {
  readonly flags?: HubFlags;
  readonly env?: Record<string, string>;
  /** Content of `/etc/hub.yaml`, which is named by a flag then. */
  readonly file?: string;
}

function read({ flags = {}, env = {}, file }: Layers) {
  return readSettings({
    flags: file === undefined ? flags : { config: "/etc/hub.yaml", ...flags },
    env,
    readFile: (path) => {
      if (path !== "/etc/hub.yaml" || file === undefined) throw new Error(`no such file: ${path}`);
      return file;
    },
  });
}

function faultOf(layers: Layers): { status: number; message: string } {
  try {
    read(layers);
  } catch (error) {
    if (error instanceof ExitError) return { status: error.exitStatus, message: error.message };
    throw error;
  }
  throw new Error("nothing was refused");
}

describe("settings of the hub", () => {
  it("L3: flags go over the environment, and that over the file", () => {
    const file = "http: 127.0.0.1:1\ngrpc: 127.0.0.1:1\nadvertise: a:1\n";
    const env = { CORTEX_HUB_GRPC: "127.0.0.1:2", CORTEX_HUB_ADVERTISE: "b:2" };
    const settings = read({ file, env, flags: { advertise: "c:3" } });
    expect([settings.http, settings.grpc, settings.advertise]).toEqual(["127.0.0.1:1", "127.0.0.1:2", "c:3"]);
  });

  it("L3: without any setting the hub is on loopback and keeps its data in the home directory", () => {
    expect(read({})).toMatchObject({
      data: join(homedir(), ".local/share/cortex-hub"),
      http: "127.0.0.1:8080",
      grpc: "127.0.0.1:50051",
      advertise: undefined,
      allowPlainHttp: false,
    });
    expect(read({ env: { XDG_DATA_HOME: "/srv" } }).data).toBe("/srv/cortex-hub");
  });

  it("L3: a bare port in the file is one on loopback, and its data directory is beside it", () => {
    expect(read({ file: "http: 0\ndata: hub-data\n" })).toMatchObject({ http: "127.0.0.1:0", data: "/etc/hub-data" });
  });

  it("L3: an empty file and an empty variable set nothing", () => {
    expect(read({ file: "# nothing\n", env: { CORTEX_HUB_HTTP: "" } }).http).toBe("127.0.0.1:8080");
  });

  it.each([
    ["bogus: 1\n", "/etc/hub.yaml: bogus: unknown key"],
    ["log: {levle: info}\n", "/etc/hub.yaml: log.levle: unknown key"],
    ["http: nowhere\n", "/etc/hub.yaml: http: is not HOST:PORT"],
  ])("L3: a fault of the file ends with 65 and is named: %j", (file, message) => {
    expect(faultOf({ file })).toEqual({ status: 65, message });
  });

  it("L3: a variable with a wrong value ends with 65, a flag with 64; both are named, their value is not", () => {
    const variable = faultOf({ env: { CORTEX_HUB_GRPC: "cxt_secret" } });
    const flag = faultOf({ flags: { grpc: "cxt_secret" } });
    expect([variable.status, flag.status]).toEqual([65, 64]);
    expect(variable.message).toContain("CORTEX_HUB_GRPC");
    expect(flag.message).toContain("--grpc");
    expect(variable.message + flag.message).not.toContain("cxt_secret");
  });

  it("L3: a file that is missing or no YAML ends with 65, without quoting it", () => {
    expect(faultOf({ flags: { config: "/missing" } })).toMatchObject({ status: 65 });
    const broken = faultOf({ file: 'token: "cxt_secret\n' });
    expect(broken.status).toBe(65);
    expect(broken.message).not.toContain("cxt_secret");
  });

  it("L3: an unknown variable ends with 65 and is named, its value is not", () => {
    const { status, message } = faultOf({ env: { CORTEX_HUB_LOGLEVEL: "cxt_secret" } });
    expect(status).toBe(65);
    expect(message).toBe("CORTEX_HUB_LOGLEVEL: unknown key");
  });

  it("L3: what a container platform sets for a service named cortex-hub is no setting", () => {
    const env = {
      CORTEX_HUB_SERVICE_HOST: "10.0.0.1",
      CORTEX_HUB_SERVICE_PORT_GRPC: "50051",
      CORTEX_HUB_PORT: "tcp://10.0.0.1:8080",
      CORTEX_HUB_PORT_8080_TCP_ADDR: "10.0.0.1",
    };
    expect(read({ env })).toEqual(read({}));
    expect(faultOf({ env: { CORTEX_HUB_PORTS: "1" } }).message).toContain("CORTEX_HUB_PORTS");
  });

  it.each([
    ["127.0.0.1:0", true],
    ["hub.example.org:50051", true],
    ["[::1]:8080", true],
    ["::1:8080", false],
    ["127.0.0.1", false],
    ["127.0.0.1:65536", false],
    [":8080", false],
    ["host name:1", false],
  ])("L3: %j as HOST:PORT is %s", (text, isOne) => {
    expect(isEndpoint(text)).toBe(isOne);
  });
});
