/** What a node lets go of once the hub has it: ends that are acknowledged, logs that are held, attempts that are not wanted. */
import type { Clock } from "@cortex-mesh/protocol";
import type { AttemptKey } from "../inbox/inbox.js";
import type { Spool, SpooledLog } from "../runner/spool.js";
import type { NodeState } from "../state/node-state.js";

/** What letting go needs. */
export interface ForgetOptions {
  readonly state: NodeState;
  readonly spool: Spool;
  readonly clock: Clock;
}

/** The hub has the end: the record only recognises duplicates from now on. */
export async function endReported(desk: ForgetOptions, key: AttemptKey): Promise<void> {
  const spooled = desk.spool.find(key);
  const nowMs = desk.clock.nowMs();
  await desk.state.commit((transaction) => {
    const record = transaction.findAttempt(key.taskId, key.attempt);
    if (record?.state !== "finished") return;
    const hasLog = spooled !== undefined;
    transaction.put({ ...record, state: "done", response: undefined, hasLog, changedAtMs: nowMs });
  });
  if (spooled === undefined || spooled.lastSeq === undefined) return;
  spooled.isAnswered = true;
  releaseLog(desk, spooled);
}

/** Deletes a log whose end is acknowledged and of which the hub holds all. */
export function releaseLog(desk: ForgetOptions, log: SpooledLog): void {
  if (!log.isAnswered || log.lastSeq === undefined || log.log.ackedSeq < log.lastSeq) return;
  void removeLog(desk, log);
}

/** Deletes a log that the hub needs no more. Never rejects. */
export async function removeLog(desk: ForgetOptions, log: SpooledLog): Promise<void> {
  try {
    await desk.spool.remove(log);
    await desk.state.commit((transaction) => {
      const record = transaction.findAttempt(log.taskId, log.attempt);
      if (record?.state === "done" && record.hasLog) transaction.put({ ...record, hasLog: false });
    });
  } catch {
    // What is left is found and removed when the node starts again.
  }
}

/** Marks an attempt as done and removes its log. Never rejects. */
export async function forgetAttempt({ state, spool, clock }: ForgetOptions, key: AttemptKey): Promise<void> {
  const nowMs = clock.nowMs();
  try {
    await spool.remove(key);
    await state.commit((transaction) => {
      const record = transaction.findAttempt(key.taskId, key.attempt);
      if (record === undefined) return;
      transaction.put({ ...record, state: "done", response: undefined, hasLog: false, changedAtMs: nowMs });
    });
  } catch {
    // The hub names it again as unwanted on the next connection.
  }
}
