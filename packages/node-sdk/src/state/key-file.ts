/**
 * The node's private key in `identity.key` (0600): Ed25519, PKCS8, PEM.
 *
 * It is written whole and synced before it has its name, so that there is the old key, the new one or none.
 */
import { createPrivateKey } from "node:crypto";
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { CortexError, generateSigningKey, type SigningKey, signingKeyFromSeed } from "@cortex-mesh/protocol";

const KEY_FILE = "identity.key";
/** Length of the seed at the end of an Ed25519 key in PKCS8. */
const SEED_BYTES = 32;

/**
 * Reads the key of a state directory; makes one where there is none.
 *
 * @throws CortexError `DATA_CORRUPT` when the file holds no Ed25519 key.
 */
export function openKeyFile(directory: string): SigningKey {
  const path = join(directory, KEY_FILE);
  const pem = readIfThere(path);
  if (pem !== undefined) return parseKey(pem, path);
  const key = generateSigningKey();
  writeWhole(path, String(key.privateKeyObject.export({ format: "pem", type: "pkcs8" })));
  return key;
}

function parseKey(pem: string, path: string): SigningKey {
  try {
    const keyObject = createPrivateKey(pem);
    if (keyObject.asymmetricKeyType !== "ed25519") throw new TypeError("it is no Ed25519 key");
    return signingKeyFromSeed(keyObject.export({ format: "der", type: "pkcs8" }).subarray(-SEED_BYTES));
  } catch (error) {
    throw new CortexError("DATA_CORRUPT", `${path} holds no usable key`, { cause: error });
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function writeWhole(path: string, text: string): void {
  const draft = `${path}.new`;
  const file = openSync(draft, "w", 0o600);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(draft, path);
  const directory = openSync(dirname(path), "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
