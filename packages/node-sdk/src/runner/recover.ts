/**
 * What a node does with what an earlier process of it left, before it connects.
 *
 * What may have run ends as lost, with the output that survived; what had not started gets a tombstone and may run
 * elsewhere. Processes that were left behind are ended first.
 *
 * A log that cannot be opened now does not keep the node from starting: its attempt stays as it is, and is tried again.
 */
import { fromBinary } from "@bufbuild/protobuf";
import { type Clock, isCortexError } from "@cortex-mesh/protocol";
import { TaskResponseSchema } from "@cortex-mesh/protocol/gen";
import { lostWithNode } from "../inbox/responses.js";
import type { AttemptRecord, NodeState } from "../state/node-state.js";
import type { ReportSink } from "./report.js";
import type { Spool } from "./spool.js";

/** Pause before a log that cannot be opened is tried again, in milliseconds. */
const REOPEN_MS = 5_000;

/** What {@link recoverAttempts} needs. */
export interface RecoveryOptions {
  readonly state: NodeState;
  readonly spool: Spool;
  readonly clock: Clock;
  /** Ends what an earlier process left running. */
  readonly sweep: () => Promise<unknown>;
  /** Tells ends that became known only after the start. */
  readonly report: ReportSink;
}

/** What was found. */
export interface Recovery {
  /** Attempts that may have run and ended with the node. */
  readonly lostCount: number;
  /** Attempts that had not started. */
  readonly neverStartedCount: number;
}

/** Brings what is stored to a state that can be told to the hub, and opens the logs that are still to be sent. */
export async function recoverAttempts(options: RecoveryOptions): Promise<Recovery> {
  await options.sweep();
  const nowMs = options.clock.nowMs();
  const changed: AttemptRecord[] = [];
  const left: AttemptRecord[] = [];
  let lostCount = 0;
  let neverStartedCount = 0;
  for (const record of await options.state.listOpen()) {
    if (record.state === "started") lostCount += 1;
    if (record.state === "stored") neverStartedCount += 1;
    try {
      const next = await recoverOne(record, options.spool, nowMs);
      if (next !== record) changed.push(next);
    } catch {
      // Its log cannot be opened now.
      left.push(record);
    }
  }
  if (changed.length > 0) {
    await options.state.commit((transaction) => {
      for (const record of changed) transaction.put(record);
    });
  }
  await options.spool.removeUnopened();
  void recoverLater(options, left);
  return { lostCount, neverStartedCount };
}

/** Tries again until all logs are open; ends with the state. Never rejects. */
async function recoverLater(options: RecoveryOptions, left: readonly AttemptRecord[]): Promise<void> {
  for (let waiting = left; waiting.length > 0; ) {
    await new Promise<void>((resolve) => {
      options.clock.setTimer(resolve, REOPEN_MS);
    });
    const still: AttemptRecord[] = [];
    for (const record of waiting) {
      try {
        await recoverLate(options, record);
      } catch (error) {
        if (isCortexError(error) && error.code === "UNAVAILABLE") return;
        still.push(record);
      }
    }
    waiting = still;
  }
}

/** The hub may have let go of it meanwhile. */
async function recoverLate(options: RecoveryOptions, { taskId, attempt }: AttemptRecord): Promise<void> {
  const { state, spool, clock, report } = options;
  const before = await state.commit((transaction) => transaction.findAttempt(taskId, attempt));
  if (before === undefined || (before.state !== "started" && !before.hasLog)) return;
  const next = await recoverOne(before, spool, clock.nowMs());
  const isWanted = await state.commit((transaction) => {
    const now = transaction.findAttempt(taskId, attempt);
    if (now?.state !== before.state || now.hasLog !== before.hasLog) return false;
    if (next !== before) transaction.put(next);
    return true;
  });
  if (!isWanted) return await spool.remove(before);
  if (next === before || next.response === undefined) return;
  report({ case: "response", value: fromBinary(TaskResponseSchema, next.response) });
}

async function recoverOne(record: AttemptRecord, spool: Spool, nowMs: number): Promise<AttemptRecord> {
  switch (record.state) {
    case "stored":
      return { ...record, state: "never_started", changedAtMs: nowMs };
    case "started":
      return lostWithNode(record, (await openLog(record, spool)) ?? 0, nowMs);
    case "finished":
    case "done":
      if (!record.hasLog || (await openLog(record, spool)) !== undefined) return record;
      return { ...record, hasLog: false };
    case "never_started":
    case "cancelled_before":
      return record;
  }
}

/**
 * Opens the log that an attempt left, to be sent; gives its last record, undefined when there is no log. A log that is
 * damaged or has lost its end still ends with that record: what is missing up to it is told as a gap.
 */
async function openLog(record: AttemptRecord, spool: Spool): Promise<number | undefined> {
  const spooled = await spool.open(record, record.state === "finished" ? record.lastLogSeq : undefined);
  const lastSeq = record.state === "started" ? spooled.log.nextSeq - 1 : record.lastLogSeq;
  if (spooled.log.nextSeq === 1) {
    await spool.remove(record);
    return undefined;
  }
  // Of one whose end is acknowledged nothing is missing at the hub: it goes when the hub has what is left of it.
  spooled.lastSeq = record.state === "done" ? Math.min(lastSeq, spooled.log.nextSeq - 1) : lastSeq;
  spooled.isAnswered = record.state === "done";
  return lastSeq;
}
