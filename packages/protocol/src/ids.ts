/**
 * Names of things: prefixed ULIDs, so that an id says what it is and sorts by the time it was made.
 *
 * Ids are made by the hub (a client cannot choose where its work lands) and are never parsed for meaning.
 */
import { CortexError } from "./errors.js";

/** A string that is known to be an id of one kind. */
type Id<Kind extends string> = string & { readonly __cortexId: Kind };

/** A hub; also the name in its TLS certificate. */
export type HubId = Id<"hub">;
/** An enrolled node. */
export type NodeId = Id<"node">;
/** A session: attached nodes and one workspace. */
export type SessionId = Id<"ses">;
/** One run of a skill. */
export type TaskId = Id<"task">;
/** A single-use invitation for a node. */
export type InviteId = Id<"inv">;
/** A user of a hub: `[A-Za-z0-9._-]{1,128}`, no leading dot; opaque to Cortex. */
export type UserId = Id<"user">;

/** Every prefix with the id type it stands for. */
export interface IdKinds {
  hub: HubId;
  node: NodeId;
  ses: SessionId;
  task: TaskId;
  inv: InviteId;
}

/** The prefix of an id. */
export type IdPrefix = keyof IdKinds;

/** Where ids come from; pass a seeded one to make a run repeatable. */
export interface IdSource {
  /** A new id with the given prefix. Ids of one source rise. */
  next<P extends IdPrefix>(prefix: P): IdKinds[P];
}

const ID_BODY = /^[0-9A-HJKMNP-TV-Z]{26}$/;

/** Whether `value` is an id with this prefix. */
export function isId<P extends IdPrefix>(prefix: P, value: string): value is IdKinds[P] {
  return value.startsWith(`${prefix}_`) && ID_BODY.test(value.slice(prefix.length + 1));
}

/**
 * Narrows a string from outside to an id.
 *
 * @throws CortexError `NOT_FOUND`: what is not an id names nothing.
 */
export function parseId<P extends IdPrefix>(prefix: P, value: string): IdKinds[P] {
  if (isId(prefix, value)) return value;
  throw new CortexError("NOT_FOUND", `there is no ${prefix} with the id "${value.slice(0, 64)}"`);
}

const USER_ID = /^(?!\.)[A-Za-z0-9._-]{1,128}$/;

/**
 * Narrows a host's user name to a {@link UserId}.
 *
 * @throws CortexError `BAD_NAME` unless it is 1-128 characters of `[A-Za-z0-9._-]` without a leading dot.
 */
export function parseUserId(value: string): UserId {
  if (USER_ID.test(value)) return value as UserId;
  throw new CortexError("BAD_NAME", "a user id is 1 to 128 characters of A-Z a-z 0-9 . _ - and has no leading dot");
}
