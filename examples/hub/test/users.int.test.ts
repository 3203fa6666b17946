import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openSqliteStore } from "@cortex-mesh/orchestrator-sdk";
import { bearerToken, createUsers, type Users } from "../src/users.js";

describe("users of the reference hub", () => {
  let data: string;
  let store: Awaited<ReturnType<typeof openSqliteStore>>;
  let users: Users;

  beforeEach(async () => {
    data = await mkdtemp(join(tmpdir(), "cortex-users-"));
    store = await openSqliteStore({ path: join(data, "hub.db") });
    users = createUsers(store);
  });

  afterEach(async () => {
    await store.close();
    await rm(data, { recursive: true, force: true });
  });

  it("I1: a user is known by its token, and only its hash is stored", async () => {
    const { token } = await users.add("bob");
    expect(token).toMatch(/^cxt_[A-Za-z0-9_-]{43}$/);
    expect(await users.findByToken(token)).toBe("bob");
    expect(await users.findByToken(`${token}x`)).toBeUndefined();
    expect(await users.findByToken("")).toBeUndefined();
    await store.close();
    for (const file of ["hub.db", "hub.db-wal"]) {
      const bytes = await readFile(join(data, file)).catch(() => Buffer.alloc(0));
      expect(bytes.includes(token.slice("cxt_".length))).toBe(false);
    }
  });

  it("I8: the name of the first user is kept for the first start, which makes it", async () => {
    await expect(users.add("admin")).rejects.toMatchObject({ code: "BAD_NAME" });
    expect(await users.makeAdmin(data)).toBe(true);
    await users.remove("admin");
    await users.add("admin");
  });

  it("I8: a name that is taken is refused and the first token stays good", async () => {
    const { token } = await users.add("bob");
    await expect(users.add("bob")).rejects.toMatchObject({ code: "BAD_NAME" });
    expect(await users.findByToken(token)).toBe("bob");
  });

  it.each(["", ".bob", "a/b", "a b", "x".repeat(129)])("I8: %j is no name of a user", async (name) => {
    await expect(users.add(name)).rejects.toMatchObject({ code: "BAD_NAME" });
  });

  it("I8: a removed user's token is worth nothing, and removing again says that there is none", async () => {
    const { token } = await users.add("bob");
    await users.remove("bob");
    expect(await users.findByToken(token)).toBeUndefined();
    await expect(users.remove("bob")).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  it("I8: the first start makes admin with a token that only the owner of the files can read", async () => {
    expect(await users.makeAdmin(data)).toBe(true);
    const path = join(data, "admin.token");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await users.findByToken((await readFile(path, "utf8")).trim())).toBe("admin");
    expect(await users.list()).toMatchObject([{ name: "admin", isAdmin: true }]);
  });

  it("I8: a later start makes no admin, not even when admin was removed", async () => {
    await users.makeAdmin(data);
    await users.add("bob");
    await users.remove("admin");
    expect(await users.makeAdmin(data)).toBe(false);
    expect((await users.list()).map(({ name }) => name)).toEqual(["bob"]);
  });

  it.each([
    ["Bearer cxt_abc", "cxt_abc"],
    ["bearer  cxt_abc", "cxt_abc"],
    ["Basic cxt_abc", undefined],
    ["Bearer a b", undefined],
    [null, undefined],
  ])("I8: the token of the header %j is %j", (header, token) => {
    expect(bearerToken(header)).toBe(token);
  });
});
