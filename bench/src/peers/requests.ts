/** What the clients of floor and subject are both asked, so that they measure the same. */
import type { Certificates } from "../certificates.js";

/** Where a client connects. */
export interface ClientStart {
  readonly port: number;
  readonly certificates: Certificates;
}

/** Messages sent one at a time. */
export interface RoundTripOptions {
  readonly count: number;
  readonly sizeBytes: number;
}

/** Bytes in one direction. */
export interface TransferOptions {
  readonly totalBytes: number;
  readonly messageBytes: number;
}

/** `count` over the time since `startedAtMs`, on the clock of `performance.now`. */
export function perSecond(count: number, startedAtMs: number): number {
  return count / ((performance.now() - startedAtMs) / 1000);
}
