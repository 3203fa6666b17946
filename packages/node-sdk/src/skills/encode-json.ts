/** A value of a skill as the bytes that travel. */

/**
 * Encodes a value as JSON in UTF-8; what JSON leaves out (`undefined`, a function) becomes `null`.
 *
 * @throws TypeError for what JSON cannot carry: a bigint, a circle.
 */
export function encodeJson(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value) ?? "null", "utf8");
}
