/**
 * Who may do what, as data: for each kind of rule and each relation of the asking one to the thing, yes or the refusal.
 *
 * An operation names its rule. Ownership itself is enforced where the thing is read: a scoped read does not show what
 * belongs to somebody else, so a stranger gets `NOT_FOUND` and learns nothing.
 */
import { CortexError } from "@cortex-mesh/protocol";
import type { Caller } from "./caller.js";

/**
 * Which subject an operation needs.
 *
 * - `user`: anybody who is known; the operation touches only what is, or becomes, the caller's own.
 * - `owner`: the owner of every thing that the input names.
 */
export type AccessRule = "user" | "owner";

/** How the asking one stands to the things that are named. */
export type Relation = "anonymous" | "stranger" | "owner";

/** What the matrix says. */
export type AccessVerdict = "allow" | "UNAUTHENTICATED" | "NOT_FOUND";

/** The whole matrix. */
export const ACCESS_MATRIX: Readonly<Record<AccessRule, Readonly<Record<Relation, AccessVerdict>>>> = {
  user: { anonymous: "UNAUTHENTICATED", stranger: "allow", owner: "allow" },
  owner: { anonymous: "UNAUTHENTICATED", stranger: "NOT_FOUND", owner: "allow" },
};

/**
 * Refuses a caller that cannot act under `rule` whatever it names: one without a user, or one that carries a scope that
 * is not its own.
 *
 * @throws CortexError `UNAUTHENTICATED`
 */
export function assertMayAct(rule: AccessRule, caller: Caller | undefined): asserts caller is Caller {
  const isKnown = caller?.scope.kind === "user" && caller.scope.userId === caller.userId;
  if (isKnown || ACCESS_MATRIX[rule].anonymous === "allow") return;
  throw new CortexError("UNAUTHENTICATED", "this needs a user: send a bearer token of this hub");
}
