/**
 * Between the link and the tasks: hands what the hub says to inbox and runner, and says what came of it.
 *
 * (D1) Grants that come together are made durable together, and so is what is forgotten; anything else waits until they are,
 * so that nothing about a task is handled before the task. (D2) What the hub has to know is said again after each welcome, from what is durable.
 */
import { fromBinary } from "@bufbuild/protobuf";
import { type Clock, type CortexError, toCortexError } from "@cortex-mesh/protocol";
import { type HubWelcome, type SignedGrant, TaskResponseSchema } from "@cortex-mesh/protocol/gen";
import type { AttemptKey, GrantContext, Inbox, Verdict } from "../inbox/inbox.js";
import type { NodeReport, ReportSink } from "../runner/report.js";
import { drainedAway, type Runner } from "../runner/runner.js";
import type { Spool, SpooledLog } from "../runner/spool.js";
import type { AttemptRecord, NodeState } from "../state/node-state.js";
import type { HubFrameBody } from "./control-channel.js";
import { endReported, forgetAttempt, releaseLog, removeLog } from "./forget.js";
import { makeHello, settleTold } from "./hello.js";

/** What {@link createTaskDesk} needs. */
export interface TaskDeskOptions {
  readonly state: NodeState;
  readonly spool: Spool;
  readonly inbox: Inbox;
  readonly runner: Runner;
  readonly clock: Clock;
  readonly bootId: string;
  /** Says something on the connection there is. */
  readonly report: ReportSink;
  /** A grant that is not acted on. */
  readonly onRefused: (error: CortexError) => void;
}

/** Handles what is said about tasks. */
export interface TaskDesk {
  /** What the node holds. */
  hello(): Promise<NodeReport>;
  /** Drops what the hub does not want, and what it knows by now. */
  welcomed(welcome: HubWelcome): Promise<void>;
  /** Says again what the hub has to know (D2), as fast as there is room; ends early when `room` gives false. */
  sayAgain(room: () => Promise<boolean>): Promise<void>;
  receive(bodies: readonly HubFrameBody[], context: GrantContext): Promise<void>;
  /** The hub holds more of a log. */
  logAcked(log: SpooledLog): void;
  /** The hub does not take a log any more. */
  logRefused(log: SpooledLog): void;
  /** Tells the hub that the node drains; what waits is given back. */
  drain(graceMs: number): Promise<void>;
  /** Whether everything is told and acknowledged. */
  isDelivered(): Promise<boolean>;
}

/** Makes the desk of a node. */
export function createTaskDesk(options: TaskDeskOptions): TaskDesk {
  /** Tombstones that the newest hello told of. */
  let told: readonly AttemptRecord[] = [];
  return {
    async hello() {
      const open = await options.state.listOpen();
      told = open.filter((record) => record.state === "never_started");
      return makeHello(open, options);
    },
    async welcomed(welcome) {
      for (const key of welcome.unwanted) await dropUnwanted(options, key);
      await settleTold(options, told);
      told = [];
    },
    sayAgain: (room) => sayAllAgain(options, room),
    receive: (bodies, context) => receiveAll(options, bodies, context),
    logAcked: (log) => releaseLog(options, log),
    logRefused(log) {
      log.isAnswered = true;
      void removeLog(options, log);
    },
    drain: (graceMs) => drain(options, graceMs),
    async isDelivered() {
      const open = await options.state.listOpen();
      return open.every((record) => record.state !== "finished" && record.state !== "started" && !record.hasLog);
    },
  };
}

async function sayAllAgain(desk: TaskDeskOptions, room: () => Promise<boolean>): Promise<void> {
  for (const record of await desk.state.listOpen()) {
    if (record.state !== "finished" && record.state !== "started") continue;
    if (!(await room())) return;
    sayAgain(desk, record);
  }
}

async function receiveAll(
  desk: TaskDeskOptions,
  bodies: readonly HubFrameBody[],
  context: GrantContext,
): Promise<void> {
  let together: Promise<void>[] = [];
  let kind: HubFrameBody["case"] | undefined;
  for (const body of bodies) {
    const canJoin = body.case === kind && (body.case === "grant" || body.case === "forget");
    if (!canJoin) {
      await Promise.all(together);
      together = [];
    }
    kind = body.case;
    together.push(body.case === "grant" ? receiveGrant(desk, body.value, context) : receiveOther(desk, body));
  }
  await Promise.all(together);
}

async function receiveGrant(desk: TaskDeskOptions, grant: SignedGrant, context: GrantContext): Promise<void> {
  try {
    act(desk, await desk.inbox.receive(grant, context));
  } catch (error) {
    // The state cannot be written: nothing was started, and the hub hears of the task again when it asks for it.
    desk.onRefused(toCortexError(error));
  }
}

function act(desk: TaskDeskOptions, verdict: Verdict): void {
  const { runner, report } = desk;
  switch (verdict.kind) {
    case "start":
      runner.start(verdict.grant, verdict.startedAtMs);
      break;
    case "store":
      report({ case: "accepted", value: keyOf(verdict.grant) });
      runner.store(verdict.grant);
      break;
    case "repeat":
      sayAgain(desk, verdict.record);
      break;
    case "ended":
      runner.unstore(verdict.record);
      sayAgain(desk, verdict.record);
      break;
    case "declined":
      sayDeclined(report, verdict);
      break;
    case "stop":
      runner.stop(verdict.key);
      break;
    case "refused":
      desk.onRefused(verdict.error);
      break;
    case "ignored":
      break;
  }
}

function sayDeclined(
  report: ReportSink,
  { key, error, isFinal }: { readonly key: AttemptKey; readonly error: CortexError; readonly isFinal: boolean },
): void {
  const { code, message } = error;
  report({ case: "declined", value: { ...keyOf(key), errorCode: code, errorMessage: message, final: isFinal } });
}

/** Says what is known of an attempt. */
function sayAgain({ report, runner }: TaskDeskOptions, record: AttemptRecord): void {
  switch (record.state) {
    case "stored":
      report({ case: "accepted", value: keyOf(record) });
      break;
    case "started":
      runner.find(record)?.repeatStarted();
      break;
    case "finished":
      if (record.response === undefined) break;
      report({ case: "response", value: fromBinary(TaskResponseSchema, record.response) });
      break;
    case "never_started":
      sayDeclined(report, { key: record, error: drainedAway(), isFinal: false });
      break;
    case "cancelled_before":
    case "done":
      break;
  }
}

async function receiveOther(desk: TaskDeskOptions, body: HubFrameBody): Promise<void> {
  switch (body.case) {
    case "input": {
      const { offset, data, eof } = body.value;
      desk.runner.receiveInput(body.value, { offset: Number(offset), data, eof });
      break;
    }
    case "responseAck":
      await endReported(desk, body.value);
      break;
    case "forget":
      // Also the answer to an attempt that was declined: its tombstone need not be told any more.
      await dropUnwanted(desk, body.value);
      break;
    default:
      // Nothing about tasks, or something that this version does not do.
      break;
  }
}

/** Ends and forgets an attempt that the hub does not want; its record stays as one that is done. */
async function dropUnwanted(desk: TaskDeskOptions, key: AttemptKey): Promise<void> {
  const running = desk.runner.find(key);
  if (running !== undefined) return running.drop();
  desk.runner.unstore(key);
  await forgetAttempt(desk, key);
  // It may have been starting just then.
  desk.runner.find(key)?.drop();
}

async function drain(desk: TaskDeskOptions, graceMs: number): Promise<void> {
  const { runner, state, clock, report } = desk;
  report({ case: "draining", value: { graceMs } });
  const nowMs = clock.nowMs();
  const waiting = runner.beginDrain();
  try {
    const given = await state.commit((transaction) =>
      waiting.flatMap((key) => {
        const record = transaction.findAttempt(key.taskId, key.attempt);
        if (record?.state !== "stored") return [];
        transaction.put({ ...record, state: "never_started", changedAtMs: nowMs });
        return [key];
      }),
    );
    for (const key of given) sayDeclined(report, { key, error: drainedAway(), isFinal: false });
  } catch (error) {
    // They stay stored: the next start of the node gives them back. What runs is drained all the same.
    desk.onRefused(toCortexError(error));
  }
}

function keyOf({ taskId, attempt }: AttemptKey): AttemptKey {
  return { taskId, attempt };
}
