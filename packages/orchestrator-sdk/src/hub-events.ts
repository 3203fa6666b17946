/**
 * What a hub tells of its nodes and tasks while it runs: figures for a collector, lines for an operator.
 *
 * A line's facts have fixed names: `nodeId`, `taskId`, `sessionId`, `epoch`, `attempt`, `code`.
 */
import type { CortexError } from "@cortex-mesh/protocol";
import type { HubLogger } from "./hub-logger.js";
import type { GatewayWatcher } from "./link/gateway.js";
import type { HubMetrics } from "./metrics/hub-metrics.js";
import type { NodeConnection } from "./nodes/connection.js";
import type { TaskRecord } from "./store/records.js";
import type { CommitFigures } from "./store/sql/transaction-queue.js";
import type { TaskWriter } from "./tasks/commit.js";
import type { DisconnectBreaker, Freeze } from "./tasks/disconnect-breaker.js";
import { isFinal } from "./tasks/machine.js";

/** Where it is told. */
export interface HubListeners {
  readonly logger: HubLogger;
  readonly metrics: HubMetrics;
}

/** Tells of nodes that come and go. */
export function watchNodes({ logger, metrics }: HubListeners): GatewayWatcher {
  const welcomed = new WeakSet<NodeConnection>();
  return {
    online(connection) {
      const { nodeId, epoch } = connection;
      welcomed.add(connection);
      // A node's epoch counts its connections.
      metrics.nodeOnline(epoch > 1);
      logger.info({ nodeId, epoch }, "a node is online");
    },
    offline(connection, { code, message }: CortexError) {
      const { nodeId, epoch } = connection;
      if (!welcomed.has(connection)) {
        logger.warn({ nodeId, epoch, code, reason: message }, "a connection ended before its welcome");
        return;
      }
      metrics.nodeOffline(code);
      logger.info({ nodeId, epoch, code, reason: message }, "a node is offline");
    },
    roundTrip: (durationMs) => metrics.heartbeat(durationMs),
  };
}

/** Tells when no attempt is declared lost, and why. */
export function watchFreezes(breaker: Pick<DisconnectBreaker, "onChange">, { logger, metrics }: HubListeners): void {
  let reason: Freeze["reason"] | undefined;
  breaker.onChange((freeze) => {
    metrics.attemptsFrozen(freeze?.reason);
    if (freeze === undefined) logger.info({ reason }, "attempts of missing nodes may be lost again");
    else if (freeze.reason === "vanished")
      logger.warn({ ...freeze }, "many nodes vanished at once; no attempt is lost");
    else logger.info({ ...freeze }, "the hub has started and waits for the nodes that held attempts; none is lost");
    reason = freeze?.reason;
  });
}

/** Tells of tasks as they change. */
export function watchTasks(writer: TaskWriter, { logger, metrics }: HubListeners): void {
  writer.onCommit((before, after) => {
    metrics.taskChanged(before, after);
    if (before?.state !== after.state) logTask(logger, before, after);
  });
  writer.onForget((task) => metrics.taskForgotten(task));
}

function logTask(logger: HubLogger, before: TaskRecord | undefined, after: TaskRecord): void {
  const { taskId, sessionId, nodeId, attempt, state, cause, error } = after;
  const facts = { taskId, sessionId, nodeId, attempt, state };
  if (before === undefined) logger.debug(facts, "a task was accepted");
  else if (state === "indeterminate") logger.warn({ ...facts, cause }, "whether a task ran to its end is not known");
  else if (isFinal(state)) logger.debug({ ...facts, cause, code: error?.code }, "a task ended");
  else if (state === "queued") logger.info(facts, "a task waits for another attempt");
  else logger.debug(facts, "a task went on");
}

/** A commit that takes longer holds up whoever waits for it. */
const SLOW_COMMIT_MS = 500;

/** Tells of commits. */
export function watchCommits({ logger, metrics }: HubListeners): (commit: CommitFigures) => void {
  return (commit) => {
    metrics.storeCommitted(commit);
    const { durationMs, transactionCount } = commit;
    if (durationMs < SLOW_COMMIT_MS) return;
    logger.warn({ durationMs: Math.round(durationMs), transactionCount }, "a commit of the store was slow");
  };
}
