import { createHash, X509Certificate } from "node:crypto";
import { readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { HubId } from "@cortex-mesh/protocol";
import { CA_TTL_MS, LEAF_TTL_MS, openCertificates } from "../../src/nodes/certificates.js";
import { createManualClock, openTempDirectory, refusalOf } from "./open-identity.js";

const HUB = "hub_01J0000000000000000000000A" as HubId;
const OTHER_HUB = "hub_01J0000000000000000000000B" as HubId;
const DAY_MS = 24 * 60 * 60_000;

async function setUp() {
  const directory = join(await openTempDirectory(), "ca");
  const clock = createManualClock(Date.now());
  const open = (hubId = HUB) => openCertificates({ directory, hubId, clock });
  return { directory, clock, open };
}

const leafOf = (chainPem: string) => new X509Certificate(chainPem);

describe("the hub's certificates", () => {
  it("I5: a first start makes an authority and a leaf with the hub's name", async () => {
    const { open } = await setUp();
    const made = await open();
    const ca = new X509Certificate(made.caPem);
    const leaf = leafOf(made.chainPem);
    expect(made.serverName).toBe("hub-01j0000000000000000000000a.cortex");
    expect(leaf.subjectAltName).toBe(`DNS:${made.serverName}`);
    expect(leaf.ca).toBe(false);
    expect(ca.ca).toBe(true);
    expect(leaf.verify(ca.publicKey) && leaf.checkIssued(ca)).toBe(true);
    expect(ca.publicKey.asymmetricKeyDetails?.namedCurve).toBe("prime256v1");
    expect(made.caFingerprint).toBe(createHash("sha256").update(ca.raw).digest("hex"));
    expect(made.chainPem.endsWith(made.caPem)).toBe(true);
    expect(made.leafNotAfterMs - Date.now()).toBeGreaterThan(LEAF_TTL_MS - DAY_MS);
  });

  it("I5: the leaf is for servers only, and the authority signs leaves only", async () => {
    const made = await (await setUp()).open();
    expect(leafOf(made.chainPem).keyUsage).toEqual(["1.3.6.1.5.5.7.3.1"]);
    expect(new X509Certificate(made.caPem).toString()).toBe(made.caPem);
  });

  it("I5: keys are readable by their owner alone, and no part is left behind", async () => {
    const { directory, open } = await setUp();
    await open();
    expect((await readdir(directory)).sort()).toEqual(["ca.key", "ca.pem", "leaf.key", "leaf.pem"]);
    for (const name of ["ca.key", "leaf.key"]) expect((await stat(join(directory, name))).mode & 0o777).toBe(0o600);
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
  });

  it("I5: a later start has the same authority and leaf", async () => {
    const { clock, open } = await setUp();
    const first = await open();
    clock.advance(30 * DAY_MS);
    expect(await open()).toEqual(first);
  });

  it("I5: a leaf with less than a third of its time left is made anew under the same authority", async () => {
    const { clock, open } = await setUp();
    const first = await open();
    clock.advance(61 * DAY_MS);
    const second = await open();
    expect(second.caFingerprint).toBe(first.caFingerprint);
    expect(second.keyPem).not.toBe(first.keyPem);
    expect(second.leafNotAfterMs).toBeGreaterThan(first.leafNotAfterMs);
  });

  it.each(["leaf.key", "leaf.pem"])("I5: a leaf whose %s is lost or damaged is made anew", async (name) => {
    const { directory, open } = await setUp();
    const first = await open();
    await rm(join(directory, name));
    const second = await open();
    await writeFile(join(directory, name), "garbage");
    const third = await open();
    for (const made of [second, third]) expect(made.caFingerprint).toBe(first.caFingerprint);
    expect(new Set([first, second, third].map((made) => made.keyPem)).size).toBe(3);
  });

  it("I5: a leaf of another name is made anew", async () => {
    const { open } = await setUp();
    await open();
    expect(leafOf((await open(OTHER_HUB)).chainPem).subjectAltName).toContain("hub-01j0000000000000000000000b.cortex");
  });

  it("I5: a first start that was cut off after the key starts over", async () => {
    const { directory, open } = await setUp();
    const first = await open();
    await rm(join(directory, "ca.pem"));
    expect((await open()).caFingerprint).not.toBe(first.caFingerprint);
  });

  it("I5: a damaged authority is refused by name and never made anew", async () => {
    for (const [name, content] of [
      ["ca.key", undefined],
      ["ca.key", "garbage"],
      ["ca.pem", "garbage"],
    ] as const) {
      const { directory, open } = await setUp();
      await open();
      if (content === undefined) await rm(join(directory, name));
      else await writeFile(join(directory, name), content);
      const before = await readFile(join(directory, "ca.pem"), "utf8");
      expect(await refusalOf(open())).toMatchObject({ code: "DATA_CORRUPT", message: expect.stringContaining(name) });
      expect(await readFile(join(directory, "ca.pem"), "utf8")).toBe(before);
    }
  });

  it("I5: an expired authority is refused, and a leaf never outlives it", async () => {
    const { clock, open } = await setUp();
    const first = await open();
    const caEndMs = Date.parse(new X509Certificate(first.caPem).validTo);
    clock.advance(CA_TTL_MS - 10 * DAY_MS);
    expect((await open()).leafNotAfterMs).toBe(caEndMs);
    clock.advance(11 * DAY_MS);
    expect((await refusalOf(open()))?.code).toBe("DATA_CORRUPT");
  });
});
