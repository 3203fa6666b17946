/** The TLS of every row: what a real hub makes for itself at its first start, used by the floors as well. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createHub } from "@cortex-mesh/orchestrator-sdk";
import { hubServerName } from "@cortex-mesh/protocol";

/** Certificates of a server, and what its clients trust. */
export interface Certificates {
  /** Leaf, then authority. */
  readonly chainPem: string;
  readonly keyPem: string;
  readonly caPem: string;
  /** The name in the leaf. */
  readonly serverName: string;
}

let made: Promise<Certificates> | undefined;

/** Makes them once a process. */
export function benchCertificates(): Promise<Certificates> {
  made ??= makeCertificates();
  return made;
}

async function makeCertificates(): Promise<Certificates> {
  const data = await mkdtemp(join(tmpdir(), "cortex-bench-"));
  try {
    const hub = await createHub({ data });
    const serverName = hubServerName(hub.hubId);
    await hub.close();
    const read = (name: string): Promise<string> => readFile(join(data, "ca", name), "utf8");
    const [leafPem, keyPem, caPem] = await Promise.all([read("leaf.pem"), read("leaf.key"), read("ca.pem")]);
    return { chainPem: leafPem + caPem, keyPem, caPem, serverName };
  } finally {
    await rm(data, { recursive: true, force: true });
  }
}
