/**
 * The limits that both sides hold each other to, each with the reason for its size.
 *
 * Sizes are bytes unless the name says otherwise. Options may lower or raise a limit; none can be switched off.
 */

/** One message on a control stream: far below grpc-js' 4 MiB, which would end the stream when crossed. */
export const MAX_CONTROL_MESSAGE_BYTES = 1024 * 1024;
/** One message on a data stream: 1 MiB of packed content plus room for its other fields. */
export const MAX_DATA_MESSAGE_BYTES = 2 * 1024 * 1024;
/** A JSON body over HTTP; files and artifacts stream instead. */
export const MAX_HTTP_JSON_BYTES = 1024 * 1024;
/** The input of a task, so that grant and frame stay within a control message. */
export const MAX_TASK_INPUT_BYTES = 256 * 1024;
/** Output of one task that is kept, by default. */
export const DEFAULT_MAX_OUTPUT_BYTES = 1024 * 1024 * 1024;
/** Output read from a process and not yet handed on: what one noisy task may hold in memory. */
export const MAX_PENDING_OUTPUT_BYTES = 4 * 1024 * 1024;
/** One record of an output log: large enough to be cheap, small enough that streams interleave. */
export const MAX_OUTPUT_CHUNK_BYTES = 256 * 1024;
/** Standard input of a task that is on its way and not yet taken by its process. A longer body streams through it, piece by piece. */
export const MAX_PENDING_INPUT_BYTES = 256 * 1024;
/** Tasks at once on a node, by default. */
export const DEFAULT_MAX_TASKS = 64;
/** Grants a node stores beyond its running tasks before it declines more. */
export const MAX_STORED_GRANTS = 1024;
/** Idempotency keys. */
export const MAX_IDEMPOTENCY_KEY_BYTES = 128;
/** A path in a workspace. */
export const MAX_PATH_BYTES = 4096;
/** One component of a path. */
export const MAX_PATH_COMPONENT_BYTES = 255;
