/**
 * Sends a node what the tables say it should get: a grant for each attempt that is leased to this connection, a cancel for
 * each that is to end. It is told which task changed and decides from the committed record, never from the request.
 *
 * Each grant is signed when it is sent, so that it names this connection's nonce and epoch, and is sent once a connection:
 * what a broken connection may have lost is settled by the next hello.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import type { Clock, TaskId } from "@cortex-mesh/protocol";
import { PAYLOAD_TYPES, type PayloadType, signGrant, type SigningKey } from "@cortex-mesh/protocol";
import { CancelGrantSchema, type GrantHeader, GrantHeaderSchema, TaskGrantSchema } from "@cortex-mesh/protocol/gen";
import { systemScope } from "../access/scope.js";
import type { TaskRecord } from "../store/records.js";
import type { HubStore } from "../store/store.js";
import { isFinal } from "../tasks/machine.js";
import type { HubConnection } from "./hub-connection.js";
import { writeTaskRequest } from "./wire.js";

/** How long a grant may wait on its way; the node refuses to begin later. */
export const GRANT_LIFE_MS = 5 * 60_000;

/** What signing and sending need. */
export interface OutgoingOptions {
  readonly store: HubStore;
  readonly clock: Clock;
  readonly hubId: string;
  readonly grantKey: SigningKey;
  readonly policySha256: Uint8Array;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly onError: (error: unknown) => void;
}

/** Sends to one connection. */
export interface Outgoing {
  /** The node holds this attempt already: its grant is not sent again. */
  markHeld(taskId: TaskId, attempt: number): void;
  /** A task changed; send what follows from it. */
  note(task: TaskRecord): void;
}

/** Makes the sender of one connection. */
export function createOutgoing(connection: HubConnection, options: OutgoingOptions): Outgoing {
  const { store, clock } = options;
  /** Highest attempt of each task that went out on this connection, and whether its cancel did. */
  const sent = new Map<TaskId, { readonly attempt: number; isCancelSent: boolean }>();
  const queue = new Map<TaskId, TaskRecord>();
  let working: Promise<void> | undefined;

  const header = (): GrantHeader => {
    const nowMs = clock.nowMs();
    return create(GrantHeaderSchema, {
      grantId: options.randomBytes(16),
      hubId: options.hubId,
      nodeId: connection.nodeId,
      sessionNonce: connection.sessionNonce,
      epoch: BigInt(connection.epoch),
      notBeforeMs: BigInt(nowMs),
      notAfterMs: BigInt(nowMs + GRANT_LIFE_MS),
    });
  };
  const sendGrant = (payloadType: PayloadType, payload: Uint8Array): void => {
    connection.send({ case: "grant", value: signGrant({ payload, payloadType, key: options.grantKey }) });
  };
  const dispatch = async (task: TaskRecord): Promise<void> => {
    const request = await store.tasks.request(systemScope, task.taskId);
    if (request === undefined) return;
    const session = await store.sessions.get(systemScope, task.sessionId);
    const grant = create(TaskGrantSchema, {
      header: header(),
      attempt: task.attempt,
      task: writeTaskRequest(task, request, session),
      policySha256: options.policySha256,
      ownerId: task.ownerId,
    });
    sendGrant(PAYLOAD_TYPES.taskGrant, toBinary(TaskGrantSchema, grant));
  };
  const cancel = (task: TaskRecord): void => {
    const grant = create(CancelGrantSchema, { header: header(), taskId: task.taskId, attempt: task.attempt, reason: "cancelled by its owner" });
    sendGrant(PAYLOAD_TYPES.cancelGrant, toBinary(CancelGrantSchema, grant));
  };
  const handle = async (task: TaskRecord): Promise<void> => {
    if (isFinal(task.state) || task.nodeId !== connection.nodeId || task.epoch !== connection.epoch) {
      sent.delete(task.taskId);
      return;
    }
    let entry = sent.get(task.taskId);
    if (entry?.attempt !== task.attempt) {
      entry = { attempt: task.attempt, isCancelSent: false };
      sent.set(task.taskId, entry);
      if (task.state === "leased") await dispatch(task);
    }
    if (task.cancelling && !entry.isCancelSent) {
      entry.isCancelSent = true;
      cancel(task);
    }
  };
  const work = async (): Promise<void> => {
    for (const [taskId, task] of queue) {
      queue.delete(taskId);
      await handle(task);
      await connection.drained();
    }
  };

  return {
    markHeld: (taskId, attempt) => void sent.set(taskId, { attempt, isCancelSent: false }),
    note(task) {
      queue.set(task.taskId, task);
      working ??= work()
        .catch(options.onError)
        .finally(() => {
          working = undefined;
        });
    },
  };
}
