/** Who asks: the one value from which every right is derived. */
import { parseUserId, type UserId } from "@cortex-mesh/protocol";
import type { Scope } from "../store/scope.js";
import { userScope } from "./scope.js";

/** An authenticated user, as the host's `authenticate` names it. */
export interface Caller {
  readonly userId: UserId;
  readonly groups: readonly string[];
  /** What this caller may read. */
  readonly scope: Scope;
}

/**
 * Makes a caller of a host's user name.
 *
 * @throws CortexError `BAD_NAME` when the name is not a user id.
 */
export function createCaller(userId: string, groups: readonly string[] = []): Caller {
  const id = parseUserId(userId);
  return { userId: id, groups, scope: userScope(id) };
}
