/** Where keys, secrets and nonces come from; passed in, so that a run can be repeated. */
import { randomBytes } from "node:crypto";

/** Gives that many unpredictable bytes. */
export type RandomSource = (sizeBytes: number) => Uint8Array;

/** The system's random source. */
export const systemRandom: RandomSource = (sizeBytes) => randomBytes(sizeBytes);
