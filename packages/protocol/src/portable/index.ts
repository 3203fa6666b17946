/**
 * The words that load in every runtime, browsers included: errors, ids, limits, time. No Node built-in is reachable from here.
 *
 * @packageDocumentation
 */
export type { Clock, Timer } from "../clock.js";
export {
  CortexError,
  type CortexErrorCode,
  type CortexErrorOptions,
  type ErrorDetails,
  isCortexError,
  isCortexErrorCode,
} from "../errors.js";
export {
  type HubId,
  type IdPrefix,
  type InviteId,
  type NodeId,
  parseId,
  type SessionId,
  type TaskId,
  type UserId,
} from "../ids.js";
export { MAX_IDEMPOTENCY_KEY_BYTES, MAX_PATH_BYTES, MAX_TASK_INPUT_BYTES } from "../limits.js";
