/** Reads the golden bytes that implementations in other languages check themselves against, too. */
import { readFileSync } from "node:fs";

/** A payload with the bytes that are signed for it, and the signature. */
export interface SignedVector {
  readonly name: string;
  readonly keyId: string;
  readonly payloadType: string;
  readonly payloadHex: string;
  readonly paeHex: string;
  readonly signatureHex: string;
}

/** Shape of `grant-vectors.json`. */
export interface Vectors {
  readonly pae: readonly { readonly payloadType: string; readonly payloadText: string; readonly paeText: string }[];
  readonly keys: readonly {
    readonly seedHex: string;
    readonly publicKeyHex: string;
    readonly keyId: string;
    readonly messageHex: string;
    readonly messageSignatureHex: string;
  }[];
  readonly expect: {
    readonly hubId: string;
    readonly nodeId: string;
    readonly sessionNonceHex: string;
    readonly epoch: number;
    readonly nowMs: number;
  };
  readonly signed: readonly SignedVector[];
}

export function readVectors(): Vectors {
  return JSON.parse(readFileSync(new URL("../fixtures/grant-vectors.json", import.meta.url), "utf8")) as Vectors;
}
