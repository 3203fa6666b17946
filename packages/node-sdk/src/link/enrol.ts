/**
 * Makes a node known to a hub by an invite.
 *
 * The key is on disk before the hub hears of it and the identity is on disk before the caller hears, so that whatever
 * is cut off can be repeated with the same invite and key.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type Clock,
  CORTEX_VERSION,
  CortexError,
  type HubId,
  type Invite,
  isId,
  type NodeId,
  openGrantKeys,
  PROTOCOL_VERSION,
  type SigningKey,
  signEnrollmentProof,
} from "@cortex-mesh/protocol";
import type {
  BeginEnrollmentRequestSchema,
  BeginEnrollmentResponse,
  FinishEnrollmentRequestSchema,
  FinishEnrollmentResponse,
} from "@cortex-mesh/protocol/gen";
import { type NodeIdentity, writeIdentity } from "../state/identity.js";
import type { NodeState } from "../state/node-state.js";
import { within } from "./within.js";

/** Time for one call, in milliseconds. */
const CALL_TIMEOUT_MS = 15_000;

/** The calls of an enrolment. */
export interface EnrolTransport {
  /** `BeginEnrollment`. */
  begin(request: MessageInitShape<typeof BeginEnrollmentRequestSchema>): Promise<BeginEnrollmentResponse>;
  /** `FinishEnrollment`. */
  finish(request: MessageInitShape<typeof FinishEnrollmentRequestSchema>): Promise<FinishEnrollmentResponse>;
  /** Ends the connection. Idempotent. */
  close(): void;
}

/** What {@link enrol} needs. */
export interface EnrolOptions {
  readonly invite: Invite;
  /** Opens the calls; checks the hub's certificate authority against the invite first. Gives it, PEM. */
  readonly open: (invite: Invite) => Promise<{ readonly transport: EnrolTransport; readonly caPem: string }>;
  readonly key: SigningKey;
  readonly state: NodeState;
  readonly clock: Clock;
  /** Name that the node asks for; the hub may have another in its invite. */
  readonly nodeName: string;
  /** Absolute. */
  readonly workspaceRoot: string;
}

/**
 * Enrols the node and remembers who it is.
 *
 * @throws CortexError `INVITE_REFUSED` when the invite is used, expired or withdrawn; `UNAUTHENTICATED` when the
 * hub is not the one of the invite; `UNAVAILABLE` when it cannot be reached.
 */
export async function enrol(options: EnrolOptions): Promise<NodeIdentity> {
  const { transport, caPem } = await options.open(options.invite);
  try {
    const { hubId, response } = await exchange(options, transport);
    const identity = toIdentity(options, { response, hubId, caPem });
    await writeIdentity(options.state, identity);
    return identity;
  } finally {
    transport.close();
  }
}

async function exchange({ invite, key, clock, nodeName }: EnrolOptions, transport: EnrolTransport) {
  const { inviteId, secret } = invite;
  const limit = { clock, timeoutMs: CALL_TIMEOUT_MS, what: "enrolment" };
  const { publicKey } = key;
  const begun = await within(transport.begin({ inviteId, publicKey, protocolVersion: PROTOCOL_VERSION }), limit);
  const { challenge, hubId } = begun;
  const signature = signEnrollmentProof(key, { challenge, inviteId, publicKey, hubId });
  const request = { inviteId, publicKey, challenge, secret, signature, nodeName, version: CORTEX_VERSION };
  return { hubId, response: await within(transport.finish(request), limit) };
}

interface Enrolled {
  readonly response: FinishEnrollmentResponse;
  readonly hubId: string;
  readonly caPem: string;
}

function toIdentity(options: EnrolOptions, { response, hubId, caPem }: Enrolled): NodeIdentity {
  if (!isId("node", response.nodeId) || !isId("hub", response.hubId) || response.hubId !== hubId) {
    throw new CortexError("UNAUTHENTICATED", "the hub's answer to the enrolment does not fit together");
  }
  // Read once, so that keys that could not be used are refused now and not with the first task.
  openGrantKeys(response.grantKeys, options.clock.nowMs());
  return {
    nodeId: response.nodeId satisfies NodeId,
    inviteId: options.invite.inviteId,
    hubId: response.hubId satisfies HubId,
    ownerId: response.ownerId,
    nodeName: response.nodeName || options.nodeName,
    address: options.invite.address,
    caPem: caPem || response.caPem,
    grantKeys: response.grantKeys.map((key) => ({
      keyId: key.keyId,
      publicKey: Buffer.from(key.publicKey).toString("base64"),
      notAfterMs: Number(key.notAfterMs),
    })),
    workspaceRoot: options.workspaceRoot,
  };
}
