/** What becoming online and offline means for the records: the owner's feed, and the attempts that lose their connection. */
import { type Clock, CortexError, isCortexError } from "@cortex-mesh/protocol";
import { systemScope } from "../access/scope.js";
import { appendFeed } from "../feed/feed-service.js";
import type { NodeConnections } from "../nodes/connections.js";
import type { TaskRecord } from "../store/records.js";
import type { HubStore } from "../store/store.js";
import type { TaskWriter } from "../tasks/commit.js";
import { ATTEMPT_STATES, listAllTasks } from "../tasks/list-tasks.js";
import type { Wake } from "../wake/wake.js";
import type { HubConnection } from "./hub-connection.js";

/** What recording needs. */
export interface PresenceOptions {
  readonly store: HubStore;
  readonly connections: NodeConnections;
  readonly writer: TaskWriter;
  readonly wake: Wake;
  readonly clock: Clock;
}

/** Tells the owner. Nothing is said for a connection whose place another one took: that one's own events tell the story. */
export async function recordPresence(
  options: PresenceOptions,
  connection: HubConnection,
  presence: "online" | "offline",
): Promise<void> {
  const { nodeId } = connection;
  const isCurrent = (): boolean => options.connections.get(nodeId) === (presence === "online" ? connection : undefined);
  const atMs = options.clock.nowMs();
  await options.store.transaction(async (tx) => {
    const node = await tx.nodes.get(systemScope, nodeId);
    if (node === undefined || node.revokedAtMs !== undefined || !isCurrent()) return;
    await tx.nodes.update({ ...node, revision: node.revision + 1, lastSeenAtMs: atMs });
    const data = { nodeId: node.nodeId, name: node.name, status: presence, epoch: connection.epoch };
    await appendFeed(tx, node.ownerId, [{ kind: `node.${presence}`, atMs, data }]);
  });
  options.wake.wake(`user:${connection.ownerId}`, `node:${nodeId}`);
}

/**
 * The node's attempts go on without it; the deadlines decide how long. Also those of an older connection: this one took its
 * place, and may have ended before it adopted them.
 */
export async function disconnectTasks(
  { store, writer }: PresenceOptions,
  { nodeId, epoch }: HubConnection,
): Promise<void> {
  const check = async (task: TaskRecord): Promise<void> => {
    if (task.nodeId !== nodeId || task.epoch > epoch)
      throw new CortexError("SUPERSEDED", "a newer connection holds the attempt");
  };
  const disconnect = async ({ taskId }: TaskRecord): Promise<void> => {
    try {
      await writer.apply(taskId, { type: "disconnect" }, { check });
    } catch (error) {
      if (!isCortexError(error) || error.code !== "SUPERSEDED") throw error;
    }
  };
  const tasks = await listAllTasks(store, { nodeId, states: ATTEMPT_STATES });
  await Promise.all(tasks.map(disconnect));
}
