/**
 * The API of a hub on another machine, with the same interface as in the hub's own process. Needs nothing but `fetch`.
 *
 * @packageDocumentation
 */

export { isCortexError } from "@cortex-mesh/protocol/portable";
export type { Api, CallArguments, CallOptions, CallResult } from "../operations/api.js";
export {
  type DescriptionTable,
  describeOperation,
  type HttpMethod,
  type InputPlaces,
  type OperationContract,
  type OperationDescription,
  type OperationKind,
} from "../operations/description.js";
export type { ByteContent } from "../operations/operation.js";
export type { Operations } from "../operations/table.js";
export { type ConnectOptions, connect } from "./connect.js";
export type { RetryOptions } from "./retry.js";
