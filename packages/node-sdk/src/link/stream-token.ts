/**
 * The token of an open connection: the hub asks for a proof now and then, and gives the next one for it.
 *
 * The node keeps no time of its own for this. A hub that does not ask ends the connection when the token is long over, and
 * the next dial proves the key anew.
 */
import { CortexError, type SigningKey, signTokenProof } from "@cortex-mesh/protocol";
import type { NodeReport } from "../runner/report.js";
import type { NodeIdentity } from "../state/identity.js";
import type { HubFrameBody } from "./control-channel.js";

/** Longest token that is taken; with the rest of a call's headers it stays far below what a hub reads. */
export const MAX_TOKEN_CHARS = 4_096;
/** Longest nonce that is signed; those of a hub have 56 bytes. */
export const MAX_NONCE_BYTES = 256;
/** Shortest nonce that is signed: one that a hub could repeat by chance proves nothing. */
const MIN_NONCE_BYTES = 16;

/** The newest token of a connection. */
export interface StreamToken {
  current(): string;
  /**
   * Takes what the hub says about the token, and gives the answer if it asks for one. Undefined for any other frame.
   *
   * @throws CortexError `BAD_REQUEST` for a nonce or token that no hub sends.
   */
  receive(body: HubFrameBody): { readonly answer?: NodeReport } | undefined;
}

/** Makes the token of a connection. */
export function createStreamToken(
  { identity, key }: { readonly identity: Pick<NodeIdentity, "nodeId" | "hubId">; readonly key: SigningKey },
  { epoch, token }: { readonly epoch: bigint; readonly token: string },
): StreamToken {
  const { nodeId, hubId } = identity;
  let newest = token;
  return {
    current: () => newest,
    receive(body) {
      if (body.case === "tokenIssued") {
        newest = readToken(body.value.token);
        return {};
      }
      if (body.case !== "tokenChallenge") return undefined;
      const { nonce } = body.value;
      if (nonce.byteLength < MIN_NONCE_BYTES || nonce.byteLength > MAX_NONCE_BYTES) {
        throw new CortexError("BAD_REQUEST", `the hub asked for a proof over ${nonce.byteLength} bytes`);
      }
      const signature = signTokenProof(key, { nonce, nodeId, hubId, epoch });
      return { answer: { case: "tokenProof", value: { nonce: Uint8Array.from(nonce), signature } } };
    },
  };
}

/** A token as it may stand in a header. @throws CortexError `BAD_REQUEST` */
export function readToken(token: string): string {
  if (token.length <= MAX_TOKEN_CHARS && /^[A-Za-z0-9._~+/=-]+$/.test(token)) return token;
  throw new CortexError("BAD_REQUEST", "the hub gave a token that cannot be sent");
}
