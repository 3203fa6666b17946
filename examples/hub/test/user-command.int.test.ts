import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createHub } from "@cortex-mesh/orchestrator-sdk";
import { runCommandLine } from "../src/command-line.js";
import { createUsers } from "../src/users.js";

describe("cortex-hub user", () => {
  let root: string;
  let data: string;
  let printed: string;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "cortex-user-"));
    data = join(root, "a", "data");
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

  it("I8: a user can be made before the hub was ever started, and is there when it is", async () => {
    expect(await runCommandLine(["user", "add", "bob", "--data", data])).toBe(0);
    const { token } = JSON.parse(printed) as { token: string };
    expect((await stat(data)).mode & 0o777).toBe(0o700);
    expect((await stat(join(data, "hub.db"))).mode & 0o777).toBe(0o600);
    await using hub = await createHub({ data });
    const users = createUsers(hub.store);
    expect(await users.makeAdmin(data)).toBe(true);
    expect(await users.findByToken(token)).toBe("bob");
    expect((await users.list()).map(({ name }) => name)).toEqual(["admin", "bob"]);
    expect(await users.findByToken((await readFile(join(data, "admin.token"), "utf8")).trim())).toBe("admin");
  });

  it("I8: a name that is none makes nothing", async () => {
    expect(await runCommandLine(["user", "add", "../bob", "--data", data])).toBe(1);
    expect(existsSync(data)).toBe(false);
  });

  it("I8: to list users of a directory that no hub used is a mistake, and makes nothing", async () => {
    expect(await runCommandLine(["user", "list", "--data", data])).toBe(1);
    expect(printed).toContain(data);
    expect(existsSync(data)).toBe(false);
  });
});
