/**
 * Mints the {@link Scope} that store reads require.
 *
 * The only place that makes one: whoever holds a scope got it here, from somebody who knew who is asking. It decides
 * nothing else; what a user may do is the access matrix.
 */
import type { UserId } from "@cortex-mesh/protocol";
import type { Scope } from "../store/scope.js";

/** The scope of one user: what that user owns, and nothing else. */
export function userScope(userId: UserId): Scope {
  return mint({ kind: "user", userId });
}

/** The scope of the hub itself: everything. Never handed to a request of a user. */
export const systemScope: Scope = mint({ kind: "system" });

function mint(content: { readonly kind: "user"; readonly userId: UserId } | { readonly kind: "system" }): Scope {
  return Object.freeze(content) as Scope;
}
