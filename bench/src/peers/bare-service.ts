/**
 * The floor of the transport rows: a service of bare grpc-js. Messages are Buffers as they are, nothing is encoded.
 *
 * `echo` answers each message with itself. `sink` answers with one message when the bytes that the header asks for are
 * there. `source` sends the bytes that the header asks for.
 */
import type { MethodDefinition, ServiceDefinition } from "@grpc/grpc-js";

/** Bytes of a whole transfer, and of one message of a source. */
export const TOTAL_HEADER = "x-bench-total-bytes";
export const MESSAGE_HEADER = "x-bench-message-bytes";

/** Window of a tuned peer: the one that data connections of Cortex have. */
export const TUNED_WINDOW_BYTES: number = 8 * 1024 * 1024;

/** A method that carries Buffers both ways. */
export type BareMethod = MethodDefinition<Buffer, Buffer>;

/** The service. */
export const BARE_SERVICE = {
  echo: bareMethod("Echo"),
  sink: bareMethod("Sink"),
  source: bareMethod("Source"),
} as const satisfies ServiceDefinition;

function bareMethod(name: string): BareMethod {
  const asItIs = (bytes: Buffer): Buffer => bytes;
  return {
    path: `/bench.Bare/${name}`,
    requestStream: true,
    responseStream: true,
    requestSerialize: asItIs,
    requestDeserialize: asItIs,
    responseSerialize: asItIs,
    responseDeserialize: asItIs,
  };
}
