/**
 * The node says hello: what the connection's predecessor left open is settled, then tasks flow.
 *
 * Every change is fenced inside its transaction: a hello whose connection ended, or whose node has a newer epoch by then,
 * changes nothing. Otherwise two connections in a row could leave an attempt with the one that is gone.
 */
import { type Clock, CortexError, type TaskId, toCortexError } from "@cortex-mesh/protocol";
import { HeldState, type NodeHello } from "@cortex-mesh/protocol/gen";
import { systemScope } from "../access/scope.js";
import type { NodeRecord, TaskRecord } from "../store/records.js";
import type { HubStore, StoreTransaction } from "../store/store.js";
import type { TaskWriter } from "../tasks/commit.js";
import type { InputRelay } from "../tasks/input.js";
import { ATTEMPT_STATES, listAllTasks } from "../tasks/list-tasks.js";
import { type Held, reconcile } from "../tasks/recover.js";
import type { HubConnection } from "./hub-connection.js";
import type { Outgoing } from "./outgoing.js";
import type { TokenRefresh } from "./token-refresh.js";
import { readCount, readHeld } from "./wire.js";

/** The hello has to come within this time of the registration. */
export const HELLO_TIMEOUT_MS = 5_000;

/** What handling a hello needs. */
export interface HelloOptions {
  readonly store: HubStore;
  readonly writer: TaskWriter;
  readonly input: InputRelay;
  readonly outgoing: Outgoing;
  readonly refresh: TokenRefresh;
  /** The hello is handled: the node is online. */
  readonly onReady: (connection: HubConnection) => Promise<void>;
}

/** Closes a connection that is not ready in time: a node that died after it registered says nothing at all. */
export function watchHello(connection: HubConnection, clock: Clock): void {
  const timer = clock.setTimer(() => {
    if (!connection.isHandling && !connection.isReady) {
      connection.close(new CortexError("TIMED_OUT", "the node did not say hello in time"));
    }
  }, HELLO_TIMEOUT_MS);
  void connection.closed.then(() => timer.cancel());
}

/** Settles what the connection's predecessor left open, then lets tasks flow. */
export async function handleHello(connection: HubConnection, hello: NodeHello, options: HelloOptions): Promise<void> {
  const { store, writer, outgoing } = options;
  const held = readHeld(hello.held);
  const filter = { nodeId: connection.nodeId, states: ATTEMPT_STATES };
  const leased = await listAllTasks(store, filter);
  const { changes, unwanted } = reconcile(leased, held, connection.epoch);
  for (const { taskId, attempt } of held) outgoing.markHeld(taskId, attempt);
  restoreInput(connection, { hello, leased, input: options.input });
  const check = fence(connection);
  const settled = await Promise.allSettled(changes.map(({ taskId, event }) => writer.apply(taskId, event, { check })));
  const failed = settled.find((result) => result.status === "rejected");
  if (failed !== undefined) throw toCortexError(failed.reason, "UNAVAILABLE");
  // Also without a change: a node that was revoked between its registration and now must not become ready.
  assertCurrent(connection, await store.nodes.get(systemScope, connection.nodeId));
  if (connection.isClosed) return;
  connection.markReady((task) => outgoing.note(task));
  connection.send({
    case: "welcome",
    value: {
      epoch: BigInt(connection.epoch),
      unwanted: unwanted.map((item) => ({ ...item, state: writeHeldState(item) })),
    },
  });
  options.refresh.start();
  await options.onReady(connection);
  for (const task of await listAllTasks(store, filter)) outgoing.note(task);
}

/** Holds while the connection is open and the newest of its node. */
function fence(connection: HubConnection): (task: TaskRecord, tx: StoreTransaction) => Promise<void> {
  return async (_task, tx) => {
    const node = await tx.nodes.get(systemScope, connection.nodeId);
    if (connection.isClosed) throw superseded();
    assertCurrent(connection, node);
  };
}

function assertCurrent({ nodeId, epoch }: HubConnection, node: NodeRecord | undefined): void {
  if (node?.revokedAtMs !== undefined) throw new CortexError("NODE_REVOKED", `node ${nodeId} was revoked by its owner`);
  if (node?.epoch !== epoch) throw superseded();
}

function superseded(): CortexError {
  return new CortexError("SUPERSEDED", "the connection was over before its hello was handled");
}

/** Input goes on where the processes are; a node speaks only for attempts that are its own. */
function restoreInput(
  { nodeId }: HubConnection,
  {
    hello,
    leased,
    input,
  }: { readonly hello: NodeHello; readonly leased: readonly TaskRecord[]; readonly input: InputRelay },
): void {
  const attempts = new Map<string, number>(leased.map(({ taskId, attempt }) => [taskId, attempt]));
  for (const { taskId, attempt, inputOffset } of hello.held) {
    const isOwn = attempts.get(taskId) === attempt;
    if (isOwn) input.restore({ taskId: taskId as TaskId, attempt, nodeId }, readCount(inputOffset));
  }
}

function writeHeldState(item: Held): HeldState {
  return item.state === "running" ? HeldState.RUNNING : HeldState.STORED;
}
