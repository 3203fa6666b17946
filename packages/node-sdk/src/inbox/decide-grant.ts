/**
 * What a verified grant means for a node that remembers what it remembers. Pure.
 *
 * (G1) An attempt that is known is never started again. (G2) A lower attempt than the known one is never acted on.
 * (G3) A tombstone is never started.
 */
import type { AttemptRecord } from "../state/node-state.js";

/** Grants a node that cannot take a task now. */
export interface NodeSituation {
  readonly isDraining: boolean;
  /** A slot is held for this grant. */
  readonly hasSlot: boolean;
  /** Whether one more grant may be stored to wait for a slot. */
  readonly canStore: boolean;
}

/** What to do with a task grant. */
export type GrantDecision =
  /** Start it: the slot is held. */
  | "start"
  /** Store it; it starts when a slot is free. */
  | "store"
  /** Known already: answer with what is known. */
  | "repeat"
  /** A cancel came first: it ends as cancelled and never starts. */
  | "end_cancelled"
  /** It will not start here: write a tombstone and say so. */
  | "decline_draining"
  | "decline_full"
  /** Nothing to do and nothing to say. */
  | "ignore";

/** Decides on a task grant; `known` is the record of the task's highest attempt. */
export function decideGrant(
  known: AttemptRecord | undefined,
  attempt: number,
  situation: NodeSituation,
): GrantDecision {
  if (known !== undefined && known.attempt > attempt) return "ignore";
  if (known !== undefined && known.attempt === attempt) return decideKnown(known);
  if (situation.isDraining) return "decline_draining";
  if (situation.hasSlot) return "start";
  return situation.canStore ? "store" : "decline_full";
}

function decideKnown(known: AttemptRecord): GrantDecision {
  switch (known.state) {
    case "stored":
    case "started":
    case "finished":
    case "never_started":
      return "repeat";
    case "cancelled_before":
      return "end_cancelled";
    case "done":
      return "ignore";
  }
}

/** What to do with a cancel. */
export type CancelDecision =
  /** It waits for a slot: it ends as cancelled without a start. */
  | "end_stored"
  /** It may be running: stop it; the end that is durable first counts. */
  | "stop"
  /** It ended already: say so again. */
  | "repeat"
  /** Not seen yet: write a tombstone, so that it never starts. */
  | "remember"
  | "ignore";

/** Decides on a cancel; `known` is the record of the task's highest attempt. */
export function decideCancel(known: AttemptRecord | undefined, attempt: number): CancelDecision {
  if (known === undefined || known.attempt < attempt) return "remember";
  if (known.attempt > attempt) return "ignore";
  switch (known.state) {
    case "stored":
      return "end_stored";
    case "started":
      return "stop";
    case "finished":
      return "repeat";
    case "never_started":
    case "cancelled_before":
    case "done":
      return "ignore";
  }
}
