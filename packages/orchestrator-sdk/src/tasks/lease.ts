/**
 * Gives one waiting task to one node. The conditional write decides: it checks that the node's connection is still the
 * current one and that the session still has the node.
 */
import { CortexError, isCortexError, type NodeId, type SessionId, type TaskId } from "@cortex-mesh/protocol";
import { systemScope } from "../access/scope.js";
import type { TaskRecord } from "../store/records.js";
import type { StoreTransaction } from "../store/store.js";
import type { TaskWriter } from "./commit.js";

/** A task and the connection that is to get it. */
export interface Lease {
  readonly taskId: TaskId;
  readonly sessionId: SessionId;
  readonly nodeId: NodeId;
  readonly epoch: number;
}

/** What became of it: `stale` when the choice was made on what is no longer so. */
export type LeaseOutcome =
  | { readonly kind: "leased" | "stale" | "gone" }
  /** The task does not wait any more. */
  | { readonly kind: "moved"; readonly task: TaskRecord };

/** Commits the lease. Rejects when it could not be written. */
export async function writeLease(writer: TaskWriter, lease: Lease): Promise<LeaseOutcome> {
  const { taskId, nodeId, epoch } = lease;
  let written: Awaited<ReturnType<TaskWriter["apply"]>>;
  try {
    const check = (_task: TaskRecord, tx: StoreTransaction): Promise<void> => assertStillThere(tx, lease);
    written = await writer.apply(taskId, { type: "lease", nodeId, epoch }, { check });
  } catch (error) {
    if (error instanceof StaleChoice) return { kind: "stale" };
    throw error;
  }
  if (written === undefined) return { kind: "gone" };
  return written.outcome.kind === "changed" ? { kind: "leased" } : { kind: "moved", task: written.task };
}

/** Thrown inside a transaction: the choice was made on what is no longer so. */
class StaleChoice extends CortexError {}

async function assertStillThere(tx: StoreTransaction, { sessionId, nodeId, epoch }: Lease): Promise<void> {
  const node = await tx.nodes.get(systemScope, nodeId);
  if (node?.epoch !== epoch) throw new StaleChoice("SUPERSEDED", `node ${nodeId} reconnected meanwhile`);
  const session = await tx.sessions.get(systemScope, sessionId);
  const isAttached = session?.status === "active" && session.nodes.some((place) => place.nodeId === nodeId);
  if (!isAttached) throw new StaleChoice("NODE_NOT_ATTACHED", `node ${nodeId} left the session meanwhile`);
}

/** Marks a lease whose connection ended during its write: that end did not see it among the node's attempts. */
export async function disconnectLease(writer: TaskWriter, { taskId, epoch }: Lease): Promise<void> {
  const check = (task: TaskRecord): Promise<void> => {
    if (task.epoch === epoch) return Promise.resolve();
    return Promise.reject(new CortexError("SUPERSEDED", "a newer connection holds the attempt"));
  };
  await writer.apply(taskId, { type: "disconnect" }, { check }).catch((error: unknown) => {
    if (!isCortexError(error) || error.code !== "SUPERSEDED") throw error;
  });
}
