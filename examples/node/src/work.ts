/** The working life of an enrolled node: what it tells, what it is asked, and how it ends. */

import type { Logger } from "pino";
import type { CortexNode } from "@cortex-mesh/node-sdk";
import { CORTEX_VERSION, type CortexError } from "@cortex-mesh/protocol";
import { type ControlServer, serveControlSocket } from "./control-server.js";
import { describeError, EXIT, exitStatusOf } from "./exit-status.js";
import { print } from "./print.js";
import type { StopSignals } from "./stop-signal.js";

/** What {@link work} needs. */
export interface WorkOptions {
  readonly node: CortexNode;
  readonly state: string;
  /** The first ends the work with a drain, the second without. */
  readonly signals: StopSignals;
  readonly logger: Logger;
}

/** How a node stands. */
export interface NodeStatus {
  readonly status: "connecting" | "online" | "offline" | "draining";
  readonly nodeId: string | undefined;
  /** Address of the hub, once it was reached. */
  readonly hub: string | undefined;
  readonly pid: number;
  readonly version: string;
  readonly startedAt: string;
  /** Why the last connection ended or was not made. */
  readonly lastError: string | undefined;
}

/** Works until it is told to stop or the hub refuses; gives the exit status. */
export async function work({ node, state, signals, logger }: WorkOptions): Promise<number> {
  const { stop } = signals;
  const report = followNode(node, logger);
  let draining: Promise<void> | undefined;
  const drain = (): Promise<void> => (draining ??= node.drain().finally(() => node.close()));
  const onStop = (): void => {
    drain().catch((error: unknown) => logger.error({ err: error }, "the drain failed"));
  };
  let control: ControlServer | undefined;
  try {
    control = await serveControlSocket(state, {
      "GET /status": report,
      "POST /drain": async () => {
        await drain();
        return { status: "stopped" };
      },
    });
    signals.onSecond(() => node.close());
    await node.start();
    if (stop.aborted) onStop();
    else stop.addEventListener("abort", onStop, { once: true });
    const error = await node.closed;
    await draining;
    return toExitStatus(error);
  } finally {
    stop.removeEventListener("abort", onStop);
    await control?.close();
  }
}

/** Prints what happens; gives a function that says how the node stands. */
function followNode(node: CortexNode, logger: Logger): () => NodeStatus {
  let status: NodeStatus["status"] = "connecting";
  let hub: string | undefined;
  let lastError: string | undefined;
  const startedAt = new Date().toISOString();

  node.on("online", (event) => {
    if (status !== "draining") status = "online";
    ({ hub } = event);
    lastError = undefined;
    print({ event: "online", ...event }, `online    ${event.nodeId} at ${event.hub}`);
    logger.info({ nodeId: event.nodeId, hub: event.hub }, "the node is online");
  });
  node.on("offline", ({ reason }) => {
    if (status !== "draining") status = "offline";
    lastError = reason?.message;
    const { code, message } = reason ?? {};
    print({ event: "offline", code, reason: message }, `offline   ${message ?? "the hub ended the connection"}`);
    logger.info({ nodeId: node.nodeId, code, reason: message }, "the node is offline");
  });
  node.on("connectFailed", ({ error, waitMs }) => {
    lastError = error.message;
    logger.warn(
      { code: error.code, reason: error.message, waitMs: Math.round(waitMs) },
      "the hub cannot be reached; trying again",
    );
  });
  node.on("draining", ({ graceMs }) => {
    status = "draining";
    print({ event: "draining", graceMs }, `draining  running tasks have ${graceMs} ms`);
  });
  node.on("stopped", ({ error }) => {
    print(
      { event: "stopped", code: error?.code, reason: error?.message },
      `stopped${error === undefined ? "" : `   ${error.message}`}`,
    );
  });
  node.on("taskStarted", (task) => logger.debug(task, "a task started"));
  node.on("taskEnded", (task) => logger.debug(task, "a task ended"));
  node.on("refused", ({ error }) => {
    logger.warn({ code: error.code, reason: error.message, ...error.details }, "a grant was refused");
  });
  return () => ({ status, nodeId: node.nodeId, hub, pid: process.pid, version: CORTEX_VERSION, startedAt, lastError });
}

function toExitStatus(error: CortexError | undefined): number {
  if (error === undefined) return EXIT.ok;
  process.stderr.write(`error: ${describeError(error)}\n`);
  return exitStatusOf(error);
}
