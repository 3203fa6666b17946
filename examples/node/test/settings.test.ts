import { homedir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ExitError } from "../src/exit-status.js";
import { type NodeFlags, type RememberedSettings, readSettings, stateDirectoryOf } from "../src/settings.js";

interface Layers {
  readonly flags?: NodeFlags;
  readonly env?: Record<string, string>;
  /** Content of `/etc/node.yaml`, which is named by a flag then. */
  readonly file?: string;
  readonly remembered?: RememberedSettings;
}

function read({ flags = {}, env = {}, file, remembered }: Layers) {
  return readSettings({
    flags: file === undefined ? flags : { config: "/etc/node.yaml", ...flags },
    env,
    remembered,
    readFile: (path) => {
      if (path !== "/etc/node.yaml" || file === undefined) throw new Error(`no such file: ${path}`);
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

const WHOLE_FILE = `
hub: {address: "hub.example.org:50051", caFingerprint: "${"ab".repeat(32)}", invite: cxi_abc}
node: {name: box, labels: {room: attic}}
workspace: {root: ws}
sandbox: {level: none}
consent: {mode: off}
limits: {maxTasks: 3}
drain: {graceMs: 0}
reconnect: {maxRetries: 2}
log: {level: debug}
`;

describe("settings of the node", () => {
  it("L3: every key of the file is read", () => {
    expect(read({ file: WHOLE_FILE })).toEqual({
      hubAddress: "hub.example.org:50051",
      caFingerprint: "ab".repeat(32),
      invite: "cxi_abc",
      name: "box",
      labels: { room: "attic" },
      workspaceRoot: "/etc/ws",
      maxTasks: 3,
      drainGraceMs: 0,
      maxRetries: 2,
      logLevel: "debug",
    });
  });

  it("L3: flags go over the environment, that over the file, that over what join kept", () => {
    const file = "node: {name: file}\nlimits: {maxTasks: 2}\ndrain: {graceMs: 2}\n";
    const remembered = { ...read({}), name: "kept", maxTasks: 1, drainGraceMs: 1, maxRetries: 1 };
    const env = { CORTEX_NODE_NAME: "env", CORTEX_NODE_DRAIN_GRACE_MS: "3" };
    const settings = read({ file, env, remembered, flags: { name: "flag" } });
    expect([settings.name, settings.drainGraceMs, settings.maxTasks, settings.maxRetries]).toEqual(["flag", 3, 2, 1]);
  });

  it("L3: labels and numbers come from the environment as well", () => {
    const env = {
      CORTEX_NODE_LABELS: "room=attic, gpu=none",
      CORTEX_NODE_LIMITS_MAX_TASKS: "7",
      CORTEX_NODE_RECONNECT_MAX_RETRIES: "0",
    };
    expect(read({ env })).toMatchObject({ labels: { room: "attic", gpu: "none" }, maxTasks: 7, maxRetries: 0 });
  });

  it.each([
    ["bogus: 1\n", "/etc/node.yaml: bogus: unknown key"],
    ["hub: {adress: a}\n", "/etc/node.yaml: hub.adress: unknown key"],
    ["sandbox: {levle: none}\n", "/etc/node.yaml: sandbox.levle: unknown key"],
    ["hub: {address: nowhere}\n", "/etc/node.yaml: hub.address: is not HOST:PORT"],
    ["hub: {address: 'a:0'}\n", "/etc/node.yaml: hub.address: is not HOST:PORT"],
  ])("L3: a fault of the file ends with 65 and is named: %j", (file, message) => {
    expect(faultOf({ file })).toEqual({ status: 65, message });
  });

  it.each([
    ["sandbox: {level: workspace}\n", "sandbox.level"],
    ["sandbox: {drivers: [bwrap]}\n", "sandbox.drivers"],
    ["sandbox: {readOnly: [/usr]}\n", "sandbox.readOnly"],
    ["policy: {mode: strict}\n", "policy"],
    ["consent: {mode: ask}\n", "consent.mode"],
    ["skills: [x]\n", "skills"],
  ])("X2: a key whose feature is not there is refused, never ignored: %j", (file, key) => {
    const { status, message } = faultOf({ file });
    expect(status).toBe(65);
    expect(message).toContain(`${key}: this build does not have it yet (NOT_SUPPORTED)`);
  });

  it("I1: no message quotes a value, which could be an invite", () => {
    const faults = [
      faultOf({ file: "hub: {address: cxi_secret}\n" }),
      faultOf({ file: 'hub: {invite: "cxi_secret\n' }),
      faultOf({ env: { CORTEX_NODE_HUB_ADDRESS: "cxi_secret" } }),
      faultOf({ env: { CORTEX_NODE_LABELS: "cxi_secret" } }),
    ];
    for (const { status, message } of faults) {
      expect(status).toBe(65);
      expect(message).not.toContain("cxi_secret");
    }
  });

  it("L3: the state directory is in the home directory unless it is said", () => {
    expect(stateDirectoryOf({ flags: {}, env: {} })).toBe(join(homedir(), ".local/state/cortex-node"));
    expect(stateDirectoryOf({ flags: {}, env: { CORTEX_NODE_STATE: "/a" } })).toBe("/a");
    expect(stateDirectoryOf({ flags: { state: "~/b" }, env: { CORTEX_NODE_STATE: "/a" } })).toBe(join(homedir(), "b"));
  });

  it("L3: an unknown variable ends with 65 and is named; what a container platform sets is no setting", () => {
    const { status, message } = faultOf({ env: { CORTEX_NODE_LABLES: "cxi_secret" } });
    expect(status).toBe(65);
    expect(message).toBe("CORTEX_NODE_LABLES: unknown key");
    expect(read({ env: { CORTEX_NODE_PORT: "tcp://10.0.0.1", CORTEX_NODE_SERVICE_HOST: "a" } })).toEqual(read({}));
  });
});
