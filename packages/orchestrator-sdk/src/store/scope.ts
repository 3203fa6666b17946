/**
 * Whose things a store read may show.
 *
 * A {@link Scope} is a branded value: only `access/` makes one, so that no read can forget to ask who is asking.
 */
import type { UserId } from "@cortex-mesh/protocol";

declare const minted: unique symbol;

/** What a reader may see: everything one user owns, or (inside the hub) everything. */
export type Scope = ({ readonly kind: "user"; readonly userId: UserId } | { readonly kind: "system" }) & {
  readonly [minted]: true;
};

/** Whether something owned by `ownerId` is visible in `scope`. */
export function isVisible(scope: Scope, ownerId: UserId): boolean {
  return scope.kind === "system" || scope.userId === ownerId;
}
