/** A certificate authority and a leaf for a hub id, as a hub has them. */
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const HOUR_MS = 3_600_000;

/** What a hub holds, and the fingerprint that its invites carry. */
export interface Certificates {
  readonly caPem: string;
  readonly caFingerprint: Uint8Array;
  /** Leaf, then authority. */
  readonly chainPem: string;
  readonly keyPem: string;
}

/** Makes an authority and a leaf for `serverName`. */
export async function makeCertificates(serverName: string): Promise<Certificates> {
  x509.cryptoProvider.set(webcrypto);
  const caKeys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const leafKeys = await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const validity = { notBefore: new Date(Date.now() - HOUR_MS), notAfter: new Date(Date.now() + HOUR_MS) };
  const authority = await x509.X509CertificateGenerator.createSelfSigned({
    ...validity,
    name: "CN=Cortex test authority",
    keys: caKeys,
    signingAlgorithm: ALGORITHM,
    extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
  });
  const leaf = await x509.X509CertificateGenerator.create({
    ...validity,
    subject: `CN=${serverName}`,
    issuer: authority.subject,
    publicKey: leafKeys.publicKey,
    signingKey: caKeys.privateKey,
    signingAlgorithm: ALGORITHM,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: "dns", value: serverName }])],
  });
  const caPem = authority.toString("pem");
  const privateKey = await webcrypto.subtle.exportKey("pkcs8", leafKeys.privateKey);
  return {
    caPem,
    caFingerprint: new Uint8Array(await authority.getThumbprint("SHA-256")),
    chainPem: `${leaf.toString("pem")}\n${caPem}`,
    keyPem: x509.PemConverter.encode(privateKey, "PRIVATE KEY"),
  };
}
