/** A stream of grpc-js alone: it sends whatever bytes it is given, of any size. */
import { Client, type ClientDuplexStream, credentials, Metadata } from "@grpc/grpc-js";
import { HUB_NAME, type TestHub } from "./start-hub.js";

/** A stream with what it needs to be closed. */
export interface RawStream extends AsyncDisposable {
  readonly stream: ClientDuplexStream<Buffer, Buffer>;
  /** The status that the stream ends with. */
  readonly ended: Promise<{ readonly code: number; readonly details: string; readonly metadata: Metadata }>;
}

/** Opens a streaming method of AgentOrchestrator. */
export function openRawStream(hub: TestHub, method: string): RawStream {
  const trust = credentials.createSsl(Buffer.from(hub.certificates.caPem));
  const client = new Client(`127.0.0.1:${hub.port}`, trust, {
    "grpc.ssl_target_name_override": HUB_NAME,
    "grpc.use_local_subchannel_pool": 1,
    "grpc.max_send_message_length": -1,
  });
  const asIs = (bytes: Buffer): Buffer => bytes;
  const path = `/cortex.agent.v1.AgentOrchestrator/${method}`;
  const stream = client.makeBidiStreamRequest(path, asIs, asIs, new Metadata());
  stream.on("error", () => {});
  stream.on("data", () => {});
  return {
    stream,
    ended: new Promise((resolve) => void stream.on("status", resolve)),
    [Symbol.asyncDispose]: async () => client.close(),
  };
}
