/**
 * Takes grants in: verifies them, recognises repetitions and makes durable what will be done, before it is done.
 *
 * It starts nothing and sends nothing; it tells the caller what to do and what to say. The order of the calls is kept.
 */
import { fromBinary } from "@bufbuild/protobuf";
import {
  type Clock,
  CortexError,
  type GrantExpectation,
  isCortexError,
  isId,
  type Keyring,
  MAX_STORED_GRANTS,
  type OpenedCancelGrant,
  type OpenedTaskGrant,
  openCancelGrant,
  openTaskGrant,
  PAYLOAD_TYPES,
  toCortexError,
  verifyGrant,
} from "@cortex-mesh/protocol";
import { type SignedGrant, TaskGrantSchema } from "@cortex-mesh/protocol/gen";
import type { AttemptRecord, NodeState, StateTransaction } from "../state/node-state.js";
import { decideCancel, decideGrant } from "./decide-grant.js";
import { cancelledBeforeStart } from "./responses.js";

/** What a connection holds grants against. */
export interface GrantContext {
  readonly keys: Keyring;
  readonly expect: Omit<GrantExpectation, "nowMs">;
  /** Whether the connection stands. After it nothing starts for it: what the node holds may be told on the next one. */
  readonly isCurrent: () => boolean;
}

/** What a grant holds on its way to the disk: a slot to run in, or a place among those that wait for one. */
export type HeldPlace = "slot" | "queue";

/** The slots of the node, as far as taking grants in needs them. */
export interface SlotGate {
  readonly isDraining: boolean;
  /** Holds a slot when one is free and nothing waits before, else a place to wait; undefined when there is neither. */
  hold(): HeldPlace | undefined;
  /** Gives back what was held. */
  release(place: HeldPlace): void;
}

/** Which attempt is meant. */
export interface AttemptKey {
  readonly taskId: string;
  readonly attempt: number;
}

/** What came of a grant; everything in it is durable. */
export type Verdict =
  /** Start it; the held slot is its own. */
  | { readonly kind: "start"; readonly grant: OpenedTaskGrant; readonly startedAtMs: number }
  | { readonly kind: "store"; readonly grant: OpenedTaskGrant }
  /** Say again what is known. */
  | { readonly kind: "repeat"; readonly record: AttemptRecord }
  /** It ended without a start; the record has the response. */
  | { readonly kind: "ended"; readonly record: AttemptRecord }
  | { readonly kind: "declined"; readonly key: AttemptKey; readonly error: CortexError; readonly isFinal: boolean }
  /** Stop what may be running. */
  | { readonly kind: "stop"; readonly key: AttemptKey }
  /** Not to be acted on. */
  | { readonly kind: "refused"; readonly error: CortexError }
  | { readonly kind: "ignored" };

/** Takes grants in. */
export interface Inbox {
  /** Never rejects for what the grant says; rejects when the state cannot be written, and then nothing is kept. */
  receive(grant: SignedGrant, context: GrantContext): Promise<Verdict>;
}

/** What {@link createInbox} needs. */
export interface InboxOptions {
  readonly state: NodeState;
  readonly slots: SlotGate;
  readonly clock: Clock;
}

/** Faults that say: not meant for this connection. Whoever sent it hears nothing, and nothing is remembered. */
const FOREIGN_FAULTS: ReadonlySet<unknown> = new Set(["type", "size", "signature", "hub", "node", "nonce", "epoch"]);

/** Makes the inbox of a node. */
export function createInbox(options: InboxOptions): Inbox {
  return {
    async receive(signed, context) {
      const expect = { ...context.expect, nowMs: options.clock.nowMs() };
      const opening = { grant: signed, keys: context.keys, expect };
      try {
        switch (signed.payloadType) {
          case PAYLOAD_TYPES.taskGrant:
            return await receiveTask(options, openTaskGrant(opening), context.isCurrent);
          case PAYLOAD_TYPES.cancelGrant:
            return await receiveCancel(options, openCancelGrant(opening));
          default:
            throw new CortexError("GRANT_REFUSED", "the grant is of a type that this node does not know");
        }
      } catch (error) {
        if (!isCortexError(error) || error.code !== "GRANT_REFUSED") throw error;
        return await refuse(options, signed, { error, keys: context.keys });
      }
    },
  };
}

async function receiveTask(
  { state, slots, clock }: InboxOptions,
  grant: OpenedTaskGrant,
  isCurrent: () => boolean,
): Promise<Verdict> {
  const place = slots.hold();
  const situation = { isDraining: slots.isDraining, hasSlot: place === "slot", canStore: place === "queue" };
  const nowMs = clock.nowMs();
  let verdict: Verdict | undefined;
  try {
    verdict = await state.commit((transaction): Verdict => {
      if (!isCurrent()) return { kind: "ignored" };
      const known = transaction.findTask(grant.taskId);
      const decision = decideGrant(known, grant.attempt, situation);
      const fresh = newRecord(grant, nowMs);
      switch (decision) {
        case "start":
          transaction.put({ ...fresh, state: "started", startedAtMs: nowMs, hasLog: true });
          return { kind: "start", grant, startedAtMs: nowMs };
        case "store":
          transaction.put(fresh);
          return { kind: "store", grant };
        case "repeat":
          return known === undefined ? { kind: "ignored" } : { kind: "repeat", record: known };
        case "end_cancelled":
          return { kind: "ended", record: putAndGet(transaction, cancelledBeforeStart(fresh, nowMs)) };
        case "decline_draining":
        case "decline_full":
          transaction.put({ ...fresh, state: "never_started" });
          return { kind: "declined", key: grant, error: declinedBecause(decision), isFinal: false };
        case "ignore":
          return { kind: "ignored" };
      }
    });
    return verdict;
  } catch (error) {
    // Nothing was kept and nothing starts. The same grant cannot come again: it is bound to this connection.
    return { kind: "declined", key: grant, error: toCortexError(error), isFinal: false };
  } finally {
    const isTaken = verdict?.kind === "start" || verdict?.kind === "store";
    if (place !== undefined && !isTaken) slots.release(place);
  }
}

async function receiveCancel({ state, clock }: InboxOptions, grant: OpenedCancelGrant): Promise<Verdict> {
  const nowMs = clock.nowMs();
  return await state.commit((transaction): Verdict => {
    const known = transaction.findTask(grant.taskId);
    const decision = decideCancel(known, grant.attempt);
    switch (decision) {
      case "end_stored":
        if (known === undefined) return { kind: "ignored" };
        return { kind: "ended", record: putAndGet(transaction, cancelledBeforeStart(known, nowMs)) };
      case "stop":
        return { kind: "stop", key: grant };
      case "repeat":
        return known === undefined ? { kind: "ignored" } : { kind: "repeat", record: known };
      case "remember":
        transaction.put({ ...newRecord({ ...grant, grantId: "" }, nowMs), state: "cancelled_before" });
        return { kind: "ignored" };
      case "ignore":
        return { kind: "ignored" };
    }
  });
}

/**
 * A grant that does not hold. When the hub's signature does, and it is meant for this connection, the hub hears that the
 * attempt will not start here, which is made true by a tombstone first.
 */
async function refuse(
  { state, clock }: InboxOptions,
  signed: SignedGrant,
  refusal: { readonly error: CortexError; readonly keys: Keyring },
): Promise<Verdict> {
  const { error } = refusal;
  const key = FOREIGN_FAULTS.has(error.details["reason"]) ? undefined : readVerifiedKey(signed, refusal.keys);
  if (key === undefined) return { kind: "refused", error };
  const nowMs = clock.nowMs();
  return await state.commit((transaction): Verdict => {
    const known = transaction.findTask(key.taskId);
    if (known !== undefined && known.attempt >= key.attempt) return { kind: "refused", error };
    transaction.put({ ...newRecord({ ...key, grantId: "" }, nowMs), state: "never_started" });
    return { kind: "declined", key, error, isFinal: true };
  });
}

function readVerifiedKey(signed: SignedGrant, keys: Keyring): AttemptKey | undefined {
  try {
    const payload = verifyGrant({ grant: signed, payloadType: PAYLOAD_TYPES.taskGrant, keys });
    const body = fromBinary(TaskGrantSchema, payload);
    const { task, attempt } = body;
    return task === undefined || !isId("task", task.taskId) || attempt < 1
      ? undefined
      : { taskId: task.taskId, attempt };
  } catch {
    // Neither signed by the hub nor readable: there is nothing to answer to.
    return undefined;
  }
}

function newRecord(grant: AttemptKey & { readonly grantId: string }, nowMs: number): AttemptRecord {
  return {
    taskId: grant.taskId,
    attempt: grant.attempt,
    grantId: grant.grantId,
    state: "stored",
    startedAtMs: 0,
    response: undefined,
    hasLog: false,
    lastLogSeq: 0,
    changedAtMs: nowMs,
  };
}

function putAndGet(transaction: StateTransaction, record: AttemptRecord): AttemptRecord {
  transaction.put(record);
  return record;
}

function declinedBecause(decision: "decline_draining" | "decline_full"): CortexError {
  return decision === "decline_draining"
    ? new CortexError("UNAVAILABLE", "the node is draining and takes no new tasks")
    : new CortexError("QUOTA_EXCEEDED", `the node has ${MAX_STORED_GRANTS} tasks waiting already`);
}
