/** A state directory of somebody else, as an ordinary user meets it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const PROGRAM = join(import.meta.dirname, "../examples/node/bin/cortex-node.js");
/** Root may read and write everything, so it becomes somebody else. */
const NOBODY = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};

let root = "";
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "cortex-state-"));
  await chmod(root, 0o755);
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function run(state: string): Promise<{ status: number; stderr: string }> {
  const child = spawn(process.execPath, [PROGRAM, "run", "--state", state], {
    ...NOBODY,
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, HOME: root },
  });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const [status] = (await once(child, "close")) as [number];
  return { status, stderr };
}

describe("cortex-node", () => {
  it.each([
    ["read", 0o333],
    ["written", 0o555],
    ["entered", 0o000],
  ])("L3: a state directory that cannot be %s ends with 73 and is named", async (_what, mode) => {
    const state = join(root, "state");
    await mkdir(state);
    await chmod(state, mode);
    const { status, stderr } = await run(state);
    expect(stderr).toContain(state);
    expect(status).toBe(73);
    await chmod(state, 0o700);
  });
});
