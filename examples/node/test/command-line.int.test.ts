import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { openStateDirectory, readIdentity } from "@cortex-mesh/node-sdk";
import { createHub, type Hub } from "@cortex-mesh/orchestrator-sdk";
import { runCommandLine } from "../src/command-line.js";

describe("cortex-node", () => {
  let root: string;
  let state: string;
  let printed: string;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "cortex-command-"));
    state = join(root, "state");
    printed = "";
    const keep = (text: string | Uint8Array): boolean => {
      printed += String(text);
      return true;
    };
    vi.spyOn(process.stdout, "write").mockImplementation(keep);
    vi.spyOn(process.stderr, "write").mockImplementation(keep);
  });

  afterEach(async () => {
    vi.restoreAllMocks();
    await rm(root, { recursive: true, force: true });
  });

  async function nodeIdOf(): Promise<string | undefined> {
    const directory = openStateDirectory(state);
    const identity = await readIdentity(directory.state);
    await directory.close();
    return identity?.nodeId;
  }

  function enrol(invite: string): Promise<number> {
    return runCommandLine(["join", invite, "--state", state, "--workspace", join(root, "ws"), "--no-run"]);
  }

  async function invite(hub: Hub): Promise<string> {
    return (await hub.as("alice").createInvite({})).invite;
  }

  it("I1: a directory that belongs to a node takes no other invite, and says what to do", async () => {
    await using hub = await createHub({ data: join(root, "hub") });
    const first = await invite(hub);
    expect(await enrol(first)).toBe(0);
    const nodeId = await nodeIdOf();
    expect(await enrol(await invite(hub))).toBe(73);
    expect(printed).toContain(nodeId);
    expect(printed).toContain("cortex-node leave");
    expect(await nodeIdOf()).toBe(nodeId);
    expect((await hub.as("alice").listNodes({})).items).toHaveLength(1);
    expect(await enrol(first)).toBe(0);
    expect(await nodeIdOf()).toBe(nodeId);
    expect(await runCommandLine(["leave", "--state", state])).toBe(0);
    expect(await enrol(await invite(hub))).toBe(0);
    expect(await nodeIdOf()).not.toBe(nodeId);
  });

  it("L3: a state directory that is a file, or below one, ends with 73", async () => {
    await writeFile(state, "");
    for (const path of [state, join(state, "below")]) {
      printed = "";
      expect(await runCommandLine(["run", "--state", path])).toBe(73);
      expect(printed).toContain(state);
    }
  });
});
