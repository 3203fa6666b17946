/**
 * The bytes that are signed in place of a payload: DSSE's pre-authentication encoding.
 *
 * `"DSSEv1" SP len(type) SP type SP len(payload) SP payload`, lengths in bytes as decimal ASCII. It binds the type, so
 * that a signature for one type of payload is worth nothing for another.
 * Source: secure-systems-lab/dsse, protocol.md.
 */

/** Gives the encoding of `payload` under `payloadType`. */
export function preAuthenticationEncoding(payloadType: string, payload: Uint8Array): Buffer {
  const type = Buffer.from(payloadType, "utf8");
  const head = Buffer.from(`DSSEv1 ${type.byteLength} ${payloadType} ${payload.byteLength} `, "utf8");
  return Buffer.concat([head, payload]);
}
