/**
 * Drives the link of a node: makes a connection after each dial and wires it to the desk, the logs and the machine.
 */

import type { GrantContext } from "../inbox/inbox.js";
import { type Connection, openConnection } from "../link/connection.js";
import type { HubFrameBody } from "../link/control-channel.js";
import { type AgreedPolicy, type HubSession, type NodeFacts, openPolicy, shakeHands } from "../link/handshake.js";
import { type LogSender, startLogSender } from "../link/log-sender.js";
import { type Supervisor, startSupervisor } from "../link/supervisor.js";
import type { TaskDesk } from "../link/task-desk.js";
import type { HubTransport } from "../link/transport.js";
import type { ReportSink } from "../runner/report.js";
import type { Runner } from "../runner/runner.js";
import type { NodeCoreOptions } from "./core-options.js";

/** How long records of ended tasks are kept when the hub does not say, in milliseconds. */
const KEEP_DONE_MS = 24 * 60 * 60_000;
/** Clocks of hub and node may differ by this much when records are forgotten, in milliseconds. */
const FORGET_LEEWAY_MS = 60_000;

/** The parts of a node, and what changes while it runs. */
export interface NodeParts {
  readonly options: NodeCoreOptions;
  readonly facts: NodeFacts;
  readonly runner: Runner;
  readonly desk: TaskDesk;
  readonly report: ReportSink;
  connection: Connection | undefined;
  supervisor: Supervisor | undefined;
  logSender: LogSender | undefined;
  policy: AgreedPolicy | undefined;
  isOnline: boolean;
  /** Set while the node drains. */
  drainGraceMs: number | undefined;
}

/** Starts to keep a connection. */
export function superviseLink(core: NodeParts): Supervisor {
  const { dial, clock, random, maxRetries, events } = core.options;
  return startSupervisor({
    dial,
    clock,
    random,
    maxRetries,
    connect: (transport, signal) => connect(core, transport, signal),
    events: {
      online() {
        core.isOnline = true;
        events.online();
      },
      offline(reason) {
        events.offline(reason);
      },
      dialFailed: (error, waitMs) => events.connectFailed(error, waitMs),
    },
  });
}

async function connect(core: NodeParts, transport: HubTransport, signal: AbortSignal): Promise<Connection> {
  const { options, facts } = core;
  const { state, clock, randomBytes } = options;
  const highestEpoch = BigInt((await state.readSetting("highest_epoch")) ?? "0");
  const session = await shakeHands({ transport, facts, clock, randomBytes, highestEpoch, signal });
  const { forgetBeforeMs } = session;
  const nowMs = clock.nowMs();
  await state.commit((transaction) => {
    // Never lower: that a hub was restored from an old copy shows by its epoch being behind this one.
    if (session.epoch > highestEpoch) transaction.writeSetting("highest_epoch", String(session.epoch));
    transaction.forgetBefore(Math.max(nowMs - KEEP_DONE_MS, forgetBeforeMs - FORGET_LEEWAY_MS));
  });
  core.policy = session.policy;
  const context = (): GrantContext => ({ ...contextOf(core, session), isCurrent: () => connection.isOpen });
  const connection = openConnection({
    session,
    transport,
    facts,
    clock,
    handler: {
      hello: () => core.desk.hello(),
      async welcomed(welcome) {
        await core.desk.welcomed(welcome);
        if (!connection.isOpen) return;
        const { drainGraceMs } = core;
        if (drainGraceMs !== undefined) connection.send({ case: "draining", value: { graceMs: drainGraceMs } });
        core.logSender = sendLogs(core, connection, transport);
      },
      sayAgain: (room) => core.desk.sayAgain(room),
      receive: (bodies) => receive(core, bodies, context),
      figures: () => ({
        ...options.machine.figures(core.runner.runningCount),
        runningTasks: core.runner.runningCount,
        queuedTasks: core.runner.storedCount,
      }),
    },
  });
  core.connection = connection;
  void connection.closed.then(() => {
    core.logSender?.close();
    core.logSender = undefined;
    core.isOnline = false;
    if (core.connection === connection) core.connection = undefined;
  });
  return connection;
}

function contextOf(core: NodeParts, session: HubSession): Omit<GrantContext, "isCurrent"> {
  const { identity } = core.options;
  const { sessionNonce, epoch, keys } = session;
  const policySha256 = core.policy?.sha256;
  const agreed = policySha256 === undefined ? {} : { policySha256 };
  return { keys, expect: { hubId: identity.hubId, nodeId: identity.nodeId, sessionNonce, epoch, ...agreed } };
}

function sendLogs(core: NodeParts, connection: Connection, transport: HubTransport): LogSender {
  const { spool, clock } = core.options;
  return startLogSender({
    spool,
    clock,
    epoch: connection.session.epoch,
    openLink: () => transport.openLogs(connection.token()),
    onAcked: (log) => core.desk.logAcked(log),
    onRefused: (log) => core.desk.logRefused(log),
  });
}

/** Takes frames in order: what concerns the node itself here, the rest goes to the desk. */
async function receive(core: NodeParts, bodies: readonly HubFrameBody[], context: () => GrantContext): Promise<void> {
  let forDesk: HubFrameBody[] = [];
  for (const body of bodies) {
    if (body.case === "policy") {
      await core.desk.receive(forDesk, context());
      forDesk = [];
      core.policy = openPolicy(body.value);
    } else if (body.case === "drain") {
      core.options.events.drainRequested(body.value.graceMs);
    } else {
      forDesk.push(body);
    }
  }
  await core.desk.receive(forDesk, context());
}
