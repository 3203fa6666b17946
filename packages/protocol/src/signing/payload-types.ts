/** What a signature can be for. A signature for one of these is worth nothing for another. */

/** Payload types of `SignedGrant`, and of the proofs that a node signs. */
export const PAYLOAD_TYPES = {
  taskGrant: "application/vnd.cortex.task-grant.v1",
  cancelGrant: "application/vnd.cortex.cancel-grant.v1",
  enrollmentProof: "application/vnd.cortex.enroll.v1",
  tokenProof: "application/vnd.cortex.token.v1",
} as const;

/** One of {@link PAYLOAD_TYPES}. */
export type PayloadType = (typeof PAYLOAD_TYPES)[keyof typeof PAYLOAD_TYPES];
