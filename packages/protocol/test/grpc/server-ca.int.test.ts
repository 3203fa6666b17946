import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { AgentOrchestrator } from "../../src/gen/index.js";
import { fetchServerCa } from "../../src/grpc/server-ca.js";
import { HUB_NAME, startHub } from "./support/start-hub.js";

const disposables: AsyncDisposable[] = [];

afterEach(async () => {
  for (const disposable of disposables.splice(0).reverse()) await disposable[Symbol.asyncDispose]();
});

function dispose<T extends AsyncDisposable>(disposable: T): T {
  disposables.push(disposable);
  return disposable;
}

describe("fetch server ca", () => {
  it("I5: the authority that an invite pins is fetched from the hub and makes the next connection trusted", async () => {
    const hub = dispose(await startHub({ syncConfiguration: async () => ({ hubVersion: "x" }) }));
    const address = `127.0.0.1:${hub.port}`;
    const caPem = await fetchServerCa({ address, fingerprint: hub.certificates.caFingerprint, timeoutMs: 5_000 });
    const channel = hub.open("control", { tls: { caPem, serverName: HUB_NAME } });
    expect((await channel.client(AgentOrchestrator).syncConfiguration({})).hubVersion).toBe("x");
  });

  it("I5: a hub whose authority has another fingerprint is refused with what to do", async () => {
    const hub = dispose(await startHub({}));
    const fingerprint = Uint8Array.from(hub.certificates.caFingerprint);
    fingerprint[0] = (fingerprint[0] ?? 0) ^ 1;
    const fetched = fetchServerCa({ address: `127.0.0.1:${hub.port}`, fingerprint, timeoutMs: 5_000 });
    await expect(fetched).rejects.toMatchObject({
      code: "UNAUTHENTICATED",
      message: expect.stringContaining("invite and the hub at 127.0.0.1"),
    });
  });

  it("I5: the fingerprint of a leaf is no authority", async () => {
    const hub = dispose(await startHub({}));
    const { X509Certificate } = await import("node:crypto");
    const leaf = new X509Certificate(hub.certificates.chainPem);
    const fingerprint = Buffer.from(leaf.fingerprint256.replaceAll(":", ""), "hex");
    const fetched = fetchServerCa({ address: `127.0.0.1:${hub.port}`, fingerprint, timeoutMs: 5_000 });
    await expect(fetched).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
  });

  it("I5: a peer that says nothing, is not there, or an address that is none ends in its own error", async () => {
    const silent = createServer(() => {});
    silent.listen(0, "127.0.0.1");
    await once(silent, "listening");
    const fingerprint = new Uint8Array(32);
    const address = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
    await expect(fetchServerCa({ address, fingerprint, timeoutMs: 100 })).rejects.toMatchObject({ code: "TIMED_OUT" });
    const aborted = fetchServerCa({ address, fingerprint, timeoutMs: 5_000, signal: AbortSignal.abort() });
    await expect(aborted).rejects.toMatchObject({ code: "CANCELLED" });
    silent.close();
    await expect(fetchServerCa({ address: "127.0.0.1:1", fingerprint, timeoutMs: 5_000 })).rejects.toMatchObject({
      code: "UNAVAILABLE",
    });
    await expect(fetchServerCa({ address: "a b", fingerprint, timeoutMs: 5_000 })).rejects.toMatchObject({
      code: "BAD_REQUEST",
    });
  });
});
