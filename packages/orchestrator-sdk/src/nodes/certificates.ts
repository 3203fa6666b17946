/**
 * The hub's certificates on disk: an internal authority, made at the first start, and the server's leaf.
 *
 * `DIR/ca.pem`, `ca.key` (0600), `leaf.pem`, `leaf.key` (0600). The key is written before its certificate, so that a
 * certificate on disk always has its key. The authority is what every node pins: it is never made anew over an existing
 * one, whatever is wrong with it. The leaf is made anew at start when it is missing, does not fit, or has less than a
 * third of its time left.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Clock, CortexError, type HubId, hubServerName } from "@cortex-mesh/protocol";
import { type CertifiedKey, makeAuthority, makeServerLeaf } from "./certificate-authority.js";
import { writeDurableFile } from "./durable-file.js";

/** How long a leaf holds: 90 days. */
export const LEAF_TTL_MS = 90 * 24 * 60 * 60_000;
/** How long the authority holds: 10 years. */
export const CA_TTL_MS = 10 * 365 * 24 * 60 * 60_000;
/** Certificates hold from this long before they are made, for nodes whose clocks are behind. */
const BACKDATE_MS = 60 * 60_000;
/** A leaf with less than this part of its time left is made anew. */
const RENEW_RATIO = 1 / 3;

/** What the hub's TLS server and its invites need. */
export interface HubCertificates {
  /** Leaf and authority, for the server. */
  readonly chainPem: string;
  /** Private key of the leaf. */
  readonly keyPem: string;
  readonly caPem: string;
  /** SHA-256 of the authority's certificate (DER), hex. */
  readonly caFingerprint: string;
  /** The one name in the leaf. */
  readonly serverName: string;
  readonly leafNotAfterMs: number;
}

/** What {@link openCertificates} needs. */
export interface OpenCertificatesOptions {
  /** Made when it does not exist, for its owner alone. */
  readonly directory: string;
  readonly hubId: HubId;
  readonly clock: Clock;
}

/**
 * Loads the hub's certificates, and makes what is missing.
 *
 * @throws CortexError `DATA_CORRUPT` when the authority is damaged or over: nodes trust that one and no other.
 */
export async function openCertificates({ directory, hubId, clock }: OpenCertificatesOptions): Promise<HubCertificates> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const nowMs = clock.nowMs();
  const serverName = hubServerName(hubId);
  const authority = (await loadAuthority(directory, nowMs)) ?? (await createAuthority(directory, hubId, nowMs));
  const ca = new X509Certificate(authority.certificatePem);
  const loaded = await loadPair(directory, "leaf");
  const isGood = loaded !== undefined && isGoodLeaf(loaded, { ca, serverName, nowMs });
  const leaf = isGood ? loaded : await createLeaf(directory, { authority, ca, serverName, nowMs });
  return {
    chainPem: leaf.certificatePem + authority.certificatePem,
    keyPem: leaf.keyPem,
    caPem: authority.certificatePem,
    caFingerprint: ca.fingerprint256.replaceAll(":", "").toLowerCase(),
    serverName,
    leafNotAfterMs: Date.parse(new X509Certificate(leaf.certificatePem).validTo),
  };
}

async function loadAuthority(directory: string, nowMs: number): Promise<CertifiedKey | undefined> {
  const certificatePem = await readOptional(join(directory, "ca.pem"));
  // A key alone is a first start that did not finish: nobody has seen its certificate.
  if (certificatePem === undefined) return undefined;
  const keyPem = await readOptional(join(directory, "ca.key"));
  if (keyPem === undefined) throw corrupt(directory, "ca.key is missing");
  const certificate = parseCertificate(certificatePem);
  if (!certificate?.ca) throw corrupt(directory, "ca.pem is not the certificate of an authority");
  if (!isKeyOf(certificate, keyPem)) throw corrupt(directory, "ca.key does not belong to ca.pem");
  if (Date.parse(certificate.validTo) <= nowMs) throw corrupt(directory, "ca.pem has expired");
  return { certificatePem, keyPem };
}

async function createAuthority(directory: string, hubId: HubId, nowMs: number): Promise<CertifiedKey> {
  const validity = { notBeforeMs: nowMs - BACKDATE_MS, notAfterMs: nowMs + CA_TTL_MS };
  return await savePair(directory, "ca", await makeAuthority(`Cortex ${hubId}`, validity));
}

interface LeafOptions {
  readonly authority: CertifiedKey;
  readonly ca: X509Certificate;
  readonly serverName: string;
  readonly nowMs: number;
}

async function createLeaf(directory: string, { authority, ca, serverName, nowMs }: LeafOptions): Promise<CertifiedKey> {
  const notAfterMs = Math.min(nowMs + LEAF_TTL_MS, Date.parse(ca.validTo));
  const leaf = await makeServerLeaf(authority, serverName, { notBeforeMs: nowMs - BACKDATE_MS, notAfterMs });
  return await savePair(directory, "leaf", leaf);
}

function isGoodLeaf(leaf: CertifiedKey, { ca, serverName, nowMs }: Omit<LeafOptions, "authority">): boolean {
  const certificate = parseCertificate(leaf.certificatePem);
  if (certificate === undefined || !isKeyOf(certificate, leaf.keyPem)) return false;
  if (!certificate.checkIssued(ca) || !certificate.verify(ca.publicKey)) return false;
  if (certificate.checkHost(serverName) === undefined) return false;
  const fromMs = Date.parse(certificate.validFrom);
  const untilMs = Date.parse(certificate.validTo);
  return fromMs <= nowMs && untilMs - nowMs > (untilMs - fromMs) * RENEW_RATIO;
}

async function loadPair(directory: string, name: string): Promise<CertifiedKey | undefined> {
  const certificatePem = await readOptional(join(directory, `${name}.pem`));
  const keyPem = await readOptional(join(directory, `${name}.key`));
  return certificatePem === undefined || keyPem === undefined ? undefined : { certificatePem, keyPem };
}

async function savePair(directory: string, name: string, pair: CertifiedKey): Promise<CertifiedKey> {
  await writeDurableFile({ path: join(directory, `${name}.key`), content: pair.keyPem, mode: 0o600 });
  await writeDurableFile({ path: join(directory, `${name}.pem`), content: pair.certificatePem, mode: 0o644 });
  return pair;
}

async function readOptional(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function parseCertificate(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    // What is no certificate is answered by the caller: an error for the authority, a new one for the leaf.
    return undefined;
  }
}

function isKeyOf(certificate: X509Certificate, keyPem: string): boolean {
  try {
    return certificate.checkPrivateKey(createPrivateKey(keyPem));
  } catch {
    // What is no key is no key of this certificate.
    return false;
  }
}

function corrupt(directory: string, problem: string): CortexError {
  return new CortexError("DATA_CORRUPT", `${directory}: ${problem}; restore it from a backup, nodes trust no other`);
}
