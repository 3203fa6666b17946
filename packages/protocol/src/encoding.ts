/** Bytes as text and back, and comparing secrets; the few conversions that several rooms share. */
import { createHash, timingSafeEqual } from "node:crypto";

/** A view on `bytes` as a Buffer, without copying. */
export function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** SHA-256 of `data`, 32 bytes. */
export function sha256(data: Uint8Array | string): Buffer {
  return createHash("sha256").update(data).digest();
}

/** Whether two secrets are equal, in a time that tells nothing about where they differ. */
export function isEqualSecret(left: Uint8Array, right: Uint8Array): boolean {
  return left.byteLength === right.byteLength && timingSafeEqual(left, right);
}
