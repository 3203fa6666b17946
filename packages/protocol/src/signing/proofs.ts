/**
 * What a node signs to prove its key: when it enrols, and for each token.
 *
 * The proof itself does not travel; both sides build its bytes from what they know. That works because these messages
 * have one encoding: a few singular fields, written in the order of their numbers, empty ones left out.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { EnrollmentProofSchema, TokenProofSchema } from "../gen/cortex/agent/v1/agent_pb.js";
import type { SigningKey, VerifyKey } from "./ed25519.js";
import { isSignedPayload, signPayload } from "./grant.js";
import { PAYLOAD_TYPES } from "./payload-types.js";

/** What an enrolment signature covers. */
export interface EnrollmentProofFields {
  readonly challenge: Uint8Array;
  readonly inviteId: string;
  readonly publicKey: Uint8Array;
  readonly hubId: string;
}

/** What a token signature covers. `epoch` is the request's: 0 starts a connection. */
export interface TokenProofFields {
  readonly nonce: Uint8Array;
  readonly nodeId: string;
  readonly hubId: string;
  readonly epoch: bigint;
}

/** Signs an enrolment; 64 bytes. */
export function signEnrollmentProof(key: SigningKey, fields: EnrollmentProofFields): Uint8Array {
  return signPayload({ key, payloadType: PAYLOAD_TYPES.enrollmentProof, payload: enrollmentProofBytes(fields) });
}

/** Whether an enrolment was signed by the key it names. */
export function isEnrollmentProof(key: VerifyKey, fields: EnrollmentProofFields, signature: Uint8Array): boolean {
  const payload = enrollmentProofBytes(fields);
  return isSignedPayload({ key, payloadType: PAYLOAD_TYPES.enrollmentProof, payload, signature });
}

/** Signs a request for a token; 64 bytes. */
export function signTokenProof(key: SigningKey, fields: TokenProofFields): Uint8Array {
  return signPayload({ key, payloadType: PAYLOAD_TYPES.tokenProof, payload: tokenProofBytes(fields) });
}

/** Whether a request for a token was signed by the node's key. */
export function isTokenProof(key: VerifyKey, fields: TokenProofFields, signature: Uint8Array): boolean {
  return isSignedPayload({ key, payloadType: PAYLOAD_TYPES.tokenProof, payload: tokenProofBytes(fields), signature });
}

function enrollmentProofBytes(fields: EnrollmentProofFields): Uint8Array {
  return toBinary(EnrollmentProofSchema, create(EnrollmentProofSchema, { ...fields }));
}

function tokenProofBytes(fields: TokenProofFields): Uint8Array {
  return toBinary(TokenProofSchema, create(TokenProofSchema, { ...fields }));
}
