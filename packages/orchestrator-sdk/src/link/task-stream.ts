/**
 * The control stream from the hub's side: the hello first, then the node's statements in order.
 *
 * A statement that waits for the database does not hold up the next one; how many may wait is bounded, and beyond that the
 * stream is not read. One that could not be recorded ends the connection: the node repeats on its next one what matters.
 */
import { CortexError } from "@cortex-mesh/protocol";
import type { NodeTaskFrame } from "@cortex-mesh/protocol/gen";
import type { ReportSource, TaskReports } from "../tasks/reports.js";
import { type HelloOptions, handleHello } from "./hello.js";
import type { HubConnection } from "./hub-connection.js";
import { readCount, readEnd, readIsolation, readTaskId } from "./wire.js";

/** Statements of one node that may wait for the database at once. */
const MAX_WAITING_STATEMENTS = 512;

/** What handling a control stream needs. */
export interface TaskStreamOptions extends HelloOptions {
  readonly reports: TaskReports;
  /** A statement that could not be recorded. */
  readonly onError: (error: unknown) => void;
}

/** Handles the control stream of one connection. Give the result to {@link HubConnection.attachTasks}. */
export function createTaskStreamHandler(
  connection: HubConnection,
  options: TaskStreamOptions,
): (frame: NodeTaskFrame) => void | Promise<void> {
  let isGreeted = false;
  const run = createStatements((error) => {
    options.onError(error);
    connection.close(new CortexError("UNAVAILABLE", "a statement of the node could not be recorded", { cause: error }));
  });
  return ({ body }) => {
    if (isGreeted) {
      const work = handleStatement(connection, body, options);
      return work === undefined ? undefined : run(work);
    }
    if (body.case !== "hello") throw new CortexError("BAD_REQUEST", "the first frame of a connection is its hello");
    isGreeted = true;
    // What follows the hello waits for it: it may be about attempts that the hello adopts.
    return handleHello(connection, body.value, options);
  };
}

/** Owns statements that wait for the database; with too many of them the caller waits as well. */
function createStatements(onFailed: (error: unknown) => void): (work: Promise<void>) => void | Promise<void> {
  const waiting = new Set<Promise<void>>();
  return (work) => {
    const owned: Promise<void> = work.catch(onFailed).finally(() => waiting.delete(owned));
    waiting.add(owned);
    return waiting.size < MAX_WAITING_STATEMENTS ? undefined : Promise.race(waiting);
  };
}

/** Does what a statement asks for; gives what has to wait for the database. */
function handleStatement(
  connection: HubConnection,
  body: NodeTaskFrame["body"],
  options: TaskStreamOptions,
): Promise<void> | undefined {
  const { reports, input } = options;
  const sourceOf = (value: { readonly taskId: string; readonly attempt: number }): ReportSource => ({
    nodeId: connection.nodeId,
    epoch: connection.epoch,
    taskId: readTaskId(value.taskId),
    attempt: value.attempt,
  });
  switch (body.case) {
    case "started":
      return reports.started(sourceOf(body.value), readIsolation(body.value.isolation));
    case "response": {
      const { taskId, attempt } = body.value;
      const acknowledge = (mayForget: boolean): void => {
        if (mayForget) connection.send({ case: "responseAck", value: { taskId, attempt } });
      };
      return reports.ended(sourceOf(body.value), readEnd(body.value)).then(acknowledge);
    }
    case "declined": {
      const { taskId, attempt, errorCode: code, errorMessage: message, final: isFinal } = body.value;
      const forget = (): void => connection.send({ case: "forget", value: { taskId, attempt } });
      // The hub knows: the node need not say so again, nor keep it for its next hello.
      return reports.declined(sourceOf(body.value), { error: { code, message }, isFinal }).then(forget);
    }
    case "progress":
      return reports.stalled(sourceOf(body.value), body.value.stalled);
    case "inputAck":
      input.acked(sourceOf(body.value), { offset: readCount(body.value.offset), isClosed: body.value.closed });
      return undefined;
    case "ping":
      connection.send({ case: "pong", value: { id: body.value.id } });
      return undefined;
    case "draining":
      connection.markDraining();
      return undefined;
    case "goodbye":
      connection.isGoodbye = true;
      return undefined;
    case "hello":
      throw new CortexError("BAD_REQUEST", "a connection says hello once");
    case "tokenProof":
      return options.refresh.prove(body.value);
    case "accepted":
    case "claim":
    case "capabilities":
    case undefined:
      // A stored grant changes nothing at the hub; the rest is for nodes and hubs that know more.
      return undefined;
  }
}
