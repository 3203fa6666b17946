/**
 * The refusals that every store words alike, and the checks of arguments in front of them.
 *
 * Not here: faults of one database, which its own adapter translates.
 */
import { CortexError } from "@cortex-mesh/protocol";

/** Longest page of a list: what one answer may hold in memory. */
export const MAX_PAGE_COUNT = 1000;

/** A write lost: the record exists already, is gone, or has another revision than the write replaces. */
export function revisionConflict(noun: string, id: string): CortexError {
  return new CortexError("REVISION_CONFLICT", `${noun} ${id} was written by somebody else; read it again first`, {
    details: { id },
  });
}

/** Something was to be added to a task that the store does not know. */
export function unknownTask(taskId: string): CortexError {
  return new CortexError("NOT_FOUND", `there is no task ${taskId} in the store`, { details: { id: taskId } });
}

/** The store is closed. */
export function storeClosed(): CortexError {
  return new CortexError("UNAVAILABLE", "the store is closed");
}

/** More transactions wait than the store holds for later. */
export function storeOverloaded(queuedCount: number): CortexError {
  return new CortexError("UNAVAILABLE", `the store is behind: ${queuedCount} transactions wait; try again`, {
    details: { queuedCount },
  });
}

/** A transaction was used after its `work` settled. */
export function transactionEnded(): CortexError {
  return new CortexError("INTERNAL", "the transaction has ended; every call on it must be awaited inside its work");
}

/**
 * Checks the length of a page.
 *
 * @throws RangeError unless it is an integer from 1 to {@link MAX_PAGE_COUNT}.
 */
export function checkPageLimit(limit: number): void {
  if (Number.isInteger(limit) && limit >= 1 && limit <= MAX_PAGE_COUNT) return;
  throw new RangeError(`limit must be an integer from 1 to ${MAX_PAGE_COUNT}, got ${limit}`);
}

/**
 * Checks a count or a sequence number.
 *
 * @throws RangeError unless it is a safe integer of at least `least`.
 */
export function checkCount(name: string, value: number, least = 0): void {
  if (Number.isSafeInteger(value) && value >= least) return;
  throw new RangeError(`${name} must be a safe integer of at least ${least}, got ${value}`);
}
