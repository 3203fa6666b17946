/** Makes the signed grants of one connection: each names its nonce and epoch, and an end of its life. */
import { create, toBinary } from "@bufbuild/protobuf";
import { type Clock, PAYLOAD_TYPES, type SigningKey, signGrant } from "@cortex-mesh/protocol";
import {
  CancelGrantSchema,
  type GrantHeader,
  GrantHeaderSchema,
  type SignedGrant,
  TaskGrantSchema,
} from "@cortex-mesh/protocol/gen";
import type { SessionRecord, TaskRecord, TaskRequestRecord } from "../store/records.js";
import type { ConnectionIdentity } from "./hub-connection.js";
import { writeTaskRequest } from "./wire.js";

/** How long a grant may wait on its way; the node refuses to begin later. */
export const GRANT_LIFE_MS = 5 * 60_000;

/** What signing needs. */
export interface GrantOptions {
  readonly clock: Clock;
  readonly hubId: string;
  readonly grantKey: SigningKey;
  readonly policySha256: Uint8Array;
  readonly randomBytes: (size: number) => Uint8Array;
}

/** The grants for one connection. */
export interface GrantMaker {
  /** Lets the node start the task's current attempt. */
  task(task: TaskRecord, request: TaskRequestRecord, session: SessionRecord | undefined): SignedGrant;
  /** Lets the node end it. */
  cancel(task: TaskRecord): SignedGrant;
}

/** Makes the maker. */
export function createGrantMaker(
  { nodeId, sessionNonce, epoch }: Pick<ConnectionIdentity, "nodeId" | "sessionNonce" | "epoch">,
  { clock, hubId, grantKey, policySha256, randomBytes }: GrantOptions,
): GrantMaker {
  const header = (): GrantHeader => {
    const nowMs = clock.nowMs();
    return create(GrantHeaderSchema, {
      grantId: randomBytes(16),
      hubId,
      nodeId,
      sessionNonce,
      epoch: BigInt(epoch),
      notBeforeMs: BigInt(Math.floor(nowMs)),
      notAfterMs: BigInt(Math.floor(nowMs + GRANT_LIFE_MS)),
    });
  };
  return {
    task(task, request, session) {
      const grant = create(TaskGrantSchema, {
        header: header(),
        attempt: task.attempt,
        task: writeTaskRequest(task, request, session),
        policySha256,
        ownerId: task.ownerId,
      });
      return signGrant({
        payload: toBinary(TaskGrantSchema, grant),
        payloadType: PAYLOAD_TYPES.taskGrant,
        key: grantKey,
      });
    },
    cancel({ taskId, attempt }) {
      const grant = create(CancelGrantSchema, { header: header(), taskId, attempt, reason: "cancelled by its owner" });
      return signGrant({
        payload: toBinary(CancelGrantSchema, grant),
        payloadType: PAYLOAD_TYPES.cancelGrant,
        key: grantKey,
      });
    },
  };
}
