import { copyFile, mkdir, mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createHub } from "../src/hub.js";

describe("hub", () => {
  let root: string;
  let data: string;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "cortex-hub-"));
    data = join(root, "data");
  });

  afterEach(() => rm(root, { recursive: true, force: true }));

  it("L3: of two hubs on one data directory the second is refused, until the first is closed", async () => {
    const first = await createHub({ data });
    await expect(createHub({ data })).rejects.toMatchObject({ code: "STATE_IN_USE" });
    await first.as("alice").createInvite({});
    await first.close();
    const next = await createHub({ data });
    expect((await next.as("alice").listInvites({})).items).toHaveLength(1);
    await next.close();
  });

  it("L3: a hub that could not start leaves its data directory to the next one", async () => {
    await expect(createHub({ data, grpc: "256.0.0.1:1" })).rejects.toThrow();
    await (await createHub({ data })).close();
  });

  it("L3: a closed hub has everything in its one database file", async () => {
    const hub = await createHub({ data });
    const { inviteId } = await hub.as("alice").createInvite({});
    await hub.close();
    const log = await stat(join(data, "hub.db-wal")).catch(() => undefined);
    expect(log?.size ?? 0).toBe(0);
    const copy = join(root, "copy");
    await mkdir(copy);
    await copyFile(join(data, "hub.db"), join(copy, "hub.db"));
    const again = await createHub({ data: copy });
    expect(await again.as("alice").getInvite({ inviteId })).toMatchObject({ inviteId });
    await again.close();
  });
});
