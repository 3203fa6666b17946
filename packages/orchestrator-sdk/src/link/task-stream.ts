/**
 * The control stream from the hub's side: the hello first, then the node's statements in order.
 *
 * A statement that waits for the database does not hold up the next one; how many may wait is bounded, and beyond that the
 * stream is not read.
 */
import { CortexError, type Clock, toCortexError } from "@cortex-mesh/protocol";
import { HeldState, type NodeHello, type NodeTaskFrame } from "@cortex-mesh/protocol/gen";
import { systemScope } from "../access/scope.js";
import type { TaskWriter } from "../tasks/commit.js";
import type { InputRelay } from "../tasks/input.js";
import { type Held, reconcile } from "../tasks/recover.js";
import type { ReportSource, TaskReports } from "../tasks/reports.js";
import type { HubStore } from "../store/store.js";
import type { HubConnection } from "./hub-connection.js";
import type { Outgoing } from "./outgoing.js";
import { readCount, readEnd, readHeld, readIsolation, readTaskId } from "./wire.js";

/** The hello has to come within this time of the stream. */
export const HELLO_TIMEOUT_MS = 5_000;
/** Statements of one node that may wait for the database at once. */
const MAX_WAITING_STATEMENTS = 512;
/** Tasks of a node that one page of its hello handles. */
const HELLO_PAGE = 1000;

/** What handling a control stream needs. */
export interface TaskStreamOptions {
  readonly store: HubStore;
  readonly writer: TaskWriter;
  readonly reports: TaskReports;
  readonly input: InputRelay;
  readonly clock: Clock;
  /** The hello is handled: the node is online. */
  readonly onReady: (connection: HubConnection) => Promise<void>;
  /** A statement that could not be handled; the node will repeat what matters. */
  readonly onError: (error: unknown) => void;
}

/** Handles the control stream of one connection. Give the result to {@link HubConnection.attachTasks}. */
export function createTaskStreamHandler(
  connection: HubConnection,
  outgoing: Outgoing,
  options: TaskStreamOptions,
): (frame: NodeTaskFrame) => void | Promise<void> {
  const { reports, clock } = options;
  const waiting = new Set<Promise<void>>();
  let isGreeted = false;
  const timer = clock.setTimer(() => {
    if (!isGreeted) connection.close(new CortexError("TIMED_OUT", "the node did not say hello in time"));
  }, HELLO_TIMEOUT_MS);
  void connection.closed.then(() => timer.cancel());

  const run = (work: Promise<void>): void | Promise<void> => {
    const owned: Promise<void> = work.catch(options.onError).finally(() => waiting.delete(owned));
    waiting.add(owned);
    return waiting.size < MAX_WAITING_STATEMENTS ? undefined : Promise.race(waiting);
  };
  const sourceOf = (value: { readonly taskId: string; readonly attempt: number }): ReportSource => ({
    nodeId: connection.nodeId,
    epoch: connection.epoch,
    taskId: readTaskId(value.taskId),
    attempt: value.attempt,
  });
  const greet = async (hello: NodeHello): Promise<void> => {
    await handleHello(connection, { hello, outgoing, options });
    timer.cancel();
  };

  return (frame) => {
    const { body } = frame;
    if (!isGreeted) {
      if (body.case !== "hello") throw new CortexError("BAD_REQUEST", "the first frame of a connection is its hello");
      isGreeted = true;
      // What follows the hello waits for it: it may be about attempts that the hello adopts.
      return greet(body.value);
    }
    switch (body.case) {
      case "started":
        return run(reports.started(sourceOf(body.value), readIsolation(body.value.isolation)));
      case "response": {
        const { taskId, attempt } = body.value;
        const settle = async (source: ReportSource): Promise<void> => {
          const mayForget = await reports.ended(source, readEnd(body.value));
          if (mayForget) connection.send({ case: "responseAck", value: { taskId, attempt } });
        };
        return run(settle(sourceOf(body.value)));
      }
      case "declined": {
        const { errorCode: code, errorMessage: message, final: isFinal } = body.value;
        return run(reports.declined(sourceOf(body.value), { error: { code, message }, isFinal }));
      }
      case "progress":
        return run(reports.stalled(sourceOf(body.value), body.value.stalled));
      case "inputAck": {
        const { attempt, offset, closed: isClosed } = body.value;
        options.input.acked(readTaskId(body.value.taskId), attempt, { offset: readCount(offset), isClosed });
        return;
      }
      case "ping":
        connection.send({ case: "pong", value: { id: body.value.id } });
        return;
      case "draining":
        connection.markDraining();
        return;
      case "goodbye":
        connection.isGoodbye = true;
        return;
      case "hello":
        throw new CortexError("BAD_REQUEST", "a connection says hello once");
      case "accepted":
      case "claim":
      case "tokenProof":
      case "capabilities":
      case undefined:
        // A stored grant changes nothing at the hub; the rest is for nodes and hubs that know more.
        return;
    }
  };
}

interface HelloContext {
  readonly hello: NodeHello;
  readonly outgoing: Outgoing;
  readonly options: TaskStreamOptions;
}

/** Settles what the connection's predecessor left open, then lets tasks flow. */
async function handleHello(connection: HubConnection, { hello, outgoing, options }: HelloContext): Promise<void> {
  const { store, writer, input } = options;
  const held = readHeld(hello.held);
  const filter = { nodeId: connection.nodeId, states: ["leased", "running"] } as const;
  const leased = await store.tasks.list(systemScope, filter, { limit: HELLO_PAGE });
  const { changes, unwanted } = reconcile(leased, held, connection.epoch);
  for (const { taskId, attempt } of held) outgoing.markHeld(taskId, attempt);
  for (const item of hello.held) {
    if (item.inputOffset > 0n) {
      input.acked(readTaskId(item.taskId), item.attempt, { offset: readCount(item.inputOffset), isClosed: false });
    }
  }
  const settled = await Promise.allSettled(changes.map(({ taskId, event }) => writer.apply(taskId, event)));
  const failed = settled.find((result) => result.status === "rejected");
  if (failed !== undefined) throw toCortexError(failed.reason, "UNAVAILABLE");
  connection.markReady((task) => outgoing.note(task));
  connection.send({
    case: "welcome",
    value: { epoch: BigInt(connection.epoch), unwanted: unwanted.map((item) => ({ ...item, state: writeHeldState(item) })) },
  });
  await options.onReady(connection);
  for (const task of await store.tasks.list(systemScope, filter, { limit: HELLO_PAGE })) outgoing.note(task);
}

function writeHeldState(item: Held): HeldState {
  return item.state === "running" ? HeldState.RUNNING : HeldState.STORED;
}
