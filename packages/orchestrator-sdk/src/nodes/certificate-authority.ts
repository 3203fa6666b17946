/**
 * Making X.509 certificates: a P-256 authority of the hub's own, and the leaf that its server shows.
 *
 * Nothing here touches files (`certificates.ts`). The leaf carries the name made of the hub's id, not an address, so that
 * a hub may move; nodes trust the authority by its fingerprint from the invite.
 */
import "reflect-metadata";
import { createPrivateKey, KeyObject, randomBytes, webcrypto } from "node:crypto";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  cryptoProvider,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";

/** A certificate with its private key, both PEM. */
export interface CertifiedKey {
  readonly certificatePem: string;
  readonly keyPem: string;
}

/** When a certificate holds, milliseconds since the Unix epoch. */
export interface Validity {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const SERIAL_BYTES = 16;

cryptoProvider.set(webcrypto);

/** Makes an authority: self-signed, may sign leaves and nothing below them. */
export async function makeAuthority(name: string, validity: Validity): Promise<CertifiedKey> {
  const keys = await generateKeys();
  const certificate = await X509CertificateGenerator.createSelfSigned({
    ...commonFields(validity),
    name: `CN=${name}`,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificatePem: toPem(certificate), keyPem: exportKey(keys.privateKey) };
}

/** Makes the certificate of a TLS server with one DNS name, signed by `authority`. */
export async function makeServerLeaf(
  authority: CertifiedKey,
  serverName: string,
  validity: Validity,
): Promise<CertifiedKey> {
  const issuer = new X509Certificate(authority.certificatePem);
  const keys = await generateKeys();
  const certificate = await X509CertificateGenerator.create({
    ...commonFields(validity),
    subject: `CN=${serverName}`,
    issuer: issuer.subject,
    publicKey: keys.publicKey,
    signingKey: await importKey(authority.keyPem),
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension([{ type: "dns", value: serverName }]),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      await AuthorityKeyIdentifierExtension.create(issuer),
    ],
  });
  return { certificatePem: toPem(certificate), keyPem: exportKey(keys.privateKey) };
}

function commonFields({ notBeforeMs, notAfterMs }: Validity) {
  return {
    serialNumber: positiveSerial(),
    notBefore: new Date(notBeforeMs),
    notAfter: new Date(notAfterMs),
    signingAlgorithm: ALGORITHM,
  };
}

/** Hex of 16 random bytes that read as a positive number of full length. */
function positiveSerial(): string {
  const bytes = randomBytes(SERIAL_BYTES);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString("hex");
}

async function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return await webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
}

function exportKey(key: webcrypto.CryptoKey): string {
  return KeyObject.from(key).export({ format: "pem", type: "pkcs8" }).toString();
}

async function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(pem).export({ format: "der", type: "pkcs8" });
  return await webcrypto.subtle.importKey("pkcs8", der, ALGORITHM, false, ["sign"]);
}

function toPem(certificate: X509Certificate): string {
  return `${certificate.toString("pem")}\n`;
}
