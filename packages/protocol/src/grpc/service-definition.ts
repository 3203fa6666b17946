/**
 * Describes a generated service to grpc-js: path, direction and serialization of each method.
 *
 * Unary methods carry protobuf-es messages. Streaming methods carry batches of encoded frames, which are not parsed
 * here (`frame-batch.ts`); their messages must be `{ repeated X frames = 1 }`.
 *
 * `serialize` returns a Buffer, because grpc-js calls `.copy()` on what it gets.
 */
import {
  create,
  type DescMessage,
  type DescMethod,
  type DescService,
  fromBinary,
  type Message,
  toBinary,
} from "@bufbuild/protobuf";
import type { MethodDefinition, ServiceDefinition } from "@grpc/grpc-js";
import { toBuffer } from "../encoding.js";
import { CortexError, isCortexError } from "../errors.js";
import { MAX_DATA_MESSAGE_BYTES } from "../limits.js";
import { decodeFrameBatch, encodeFrameBatch } from "./frame-batch.js";
import { LINK_LIMITS, roleOfStream } from "./transport-limits.js";

/** A received stream message: its frames, or why it is none. The reader closes the call with the reason. */
export type ReceivedBatch = readonly Uint8Array[] | CortexError;

/** A unary method as grpc-js wants it. */
export type UnaryDefinition = MethodDefinition<Message, Message>;

/** A bidirectional method as grpc-js wants it; what is written is `readonly Uint8Array[]`. */
export type StreamDefinition = MethodDefinition<ReceivedBatch, ReceivedBatch>;

/**
 * Describes a unary method.
 *
 * @throws TypeError when the method streams.
 */
export function unaryDefinition(method: DescMethod): UnaryDefinition {
  if (method.methodKind !== "unary") throw new TypeError(`${method.name} is not a unary method`);
  return messageDefinition(method);
}

/**
 * Describes a service whose streams carry parsed messages and not frames; requests over `maxRequestBytes` end their
 * call.
 */
export function messageDefinitions(service: DescService, maxRequestBytes: number): ServiceDefinition {
  const methods = [...methodsOf(service)];
  return Object.fromEntries(methods.map(([name, method]) => [name, messageDefinition(method, maxRequestBytes)]));
}

/**
 * Describes a bidirectional method that carries batches of frames.
 *
 * @throws TypeError when the method does not stream both ways, or a message is not `{ repeated X frames = 1 }`.
 */
export function streamDefinition(method: DescMethod): StreamDefinition {
  if (method.methodKind !== "bidi_streaming") throw new TypeError(`${method.name} does not stream both ways`);
  assertFrameMessage(method.input);
  assertFrameMessage(method.output);
  const { maxMessageBytes } = LINK_LIMITS[roleOfStream(method.localName)];
  const readBatch = (bytes: Buffer): ReceivedBatch => readBatchWithin(bytes, maxMessageBytes);
  return {
    path: methodPath(method),
    requestStream: true,
    responseStream: true,
    requestSerialize: writeBatch,
    requestDeserialize: readBatch,
    responseSerialize: writeBatch,
    responseDeserialize: readBatch,
  };
}

/** The methods of a service by their local names. */
export function methodsOf(service: DescService): ReadonlyMap<string, DescMethod> {
  return new Map(service.methods.map((method) => [method.localName, method]));
}

function messageDefinition(method: DescMethod, maxRequestBytes: number = MAX_DATA_MESSAGE_BYTES): UnaryDefinition {
  const { methodKind: kind, input, output } = method;
  return {
    path: methodPath(method),
    requestStream: kind === "client_streaming" || kind === "bidi_streaming",
    responseStream: kind === "server_streaming" || kind === "bidi_streaming",
    requestSerialize: (message) => serialize(input, message),
    requestDeserialize(bytes) {
      if (bytes.byteLength > maxRequestBytes) throw new RangeError(`a request is over ${maxRequestBytes} bytes`);
      return deserialize(input, bytes);
    },
    responseSerialize: (message) => serialize(output, message),
    responseDeserialize: (bytes) => deserialize(output, bytes),
  };
}

function methodPath(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

function serialize(schema: DescMessage, message: Message): Buffer {
  return toBuffer(toBinary(schema, create(schema, message)));
}

function deserialize(schema: DescMessage, bytes: Uint8Array): Message {
  // A plain view, so that `bytes` fields are plain too and not Buffers.
  return fromBinary(schema, new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
}

function writeBatch(batch: ReceivedBatch): Buffer {
  if (isCortexError(batch)) throw batch;
  return encodeFrameBatch(batch);
}

/** Never throws: grpc-js would hide the reason from this side and end the call as INTERNAL. */
function readBatchWithin(bytes: Buffer, maxMessageBytes: number): ReceivedBatch {
  // The limit of grpc-js is one for all streams of a server.
  if (bytes.byteLength > maxMessageBytes) {
    const problem = `a stream message of ${bytes.byteLength} bytes is over the limit of ${maxMessageBytes} bytes`;
    return new CortexError("TOO_LARGE", problem, { details: { sizeBytes: bytes.byteLength, maxMessageBytes } });
  }
  try {
    return decodeFrameBatch(bytes);
  } catch (error) {
    return isCortexError(error) ? error : new CortexError("INTERNAL", "a batch could not be decoded", { cause: error });
  }
}

function assertFrameMessage(message: DescMessage): void {
  const [frames, ...others] = message.fields;
  const isFrames = frames?.number === 1 && frames.fieldKind === "list" && frames.listKind === "message";
  if (!isFrames || others.length > 0) {
    throw new TypeError(`${message.typeName} must be { repeated X frames = 1 } to travel on a link`);
  }
}
