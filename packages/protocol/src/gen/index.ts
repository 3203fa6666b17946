/**
 * The generated messages and services of `cortex.agent.v1`; the `.proto` files ship in `proto/`.
 *
 * @packageDocumentation
 */
export * from "./cortex/agent/v1/agent_pb.js";
