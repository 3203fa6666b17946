/** The server of the floors: grpc-js with nothing around it, with its own windows or with tuned ones. */
import type { Http2Server, SecureServerOptions } from "node:http2";
import { Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import type { Certificates } from "../certificates.js";
import { BARE_SERVICE, MESSAGE_HEADER, TOTAL_HEADER, TUNED_WINDOW_BYTES } from "./bare-service.js";
import type { PeerMethods } from "./peer.js";
import { readCpuUs, settledFigures } from "./process-figures.js";
import { writeBytes } from "./write-bytes.js";

type BareCall = ServerDuplexStream<Buffer, Buffer>;

/** Makes the peer. */
export function createBareServer(): PeerMethods {
  const server = new Server();
  server.addService(BARE_SERVICE, { echo, sink, source: (call: BareCall) => void source(call) });
  return {
    start({ certificates, isTuned, port = 0 }: BareServerStart) {
      if (isTuned) tune(server);
      return listen(server, certificates, port);
    },
    memory: async () => process.memoryUsage().rss,
    figures: settledFigures,
    cpu: async () => readCpuUs(),
    close: async () => server.forceShutdown(),
  };
}

interface BareServerStart {
  readonly certificates: Certificates;
  readonly isTuned: boolean;
  /** @default a free one */
  readonly port?: number;
}

function listen(server: Server, { chainPem, keyPem }: Certificates, port: number): Promise<number> {
  const pair = { cert_chain: Buffer.from(chainPem), private_key: Buffer.from(keyPem) };
  return new Promise((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createSsl(null, [pair]), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
}

/** grpc-js has no option for the windows of a server; a floor without them would be 64 KiB a round trip. */
function tune(server: Server): void {
  const hidden = server as unknown as {
    commonServerOptions: SecureServerOptions;
    createHttp2Server: (...credentials: unknown[]) => Http2Server;
  };
  Object.assign(hidden.commonServerOptions, { settings: { initialWindowSize: TUNED_WINDOW_BYTES } });
  const make = hidden.createHttp2Server.bind(server);
  hidden.createHttp2Server = (...credentials) => {
    const http2Server = make(...credentials);
    http2Server.on("session", (session) => session.setLocalWindowSize(TUNED_WINDOW_BYTES));
    return http2Server;
  };
}

function echo(call: BareCall): void {
  call.on("data", (message: Buffer) => call.write(message));
  call.on("end", () => call.end());
}

function sink(call: BareCall): void {
  const totalBytes = numberIn(call, TOTAL_HEADER);
  let receivedBytes = 0;
  call.on("data", (message: Buffer) => {
    receivedBytes += message.byteLength;
    if (receivedBytes >= totalBytes) call.write(Buffer.from("done"));
  });
  call.on("end", () => call.end());
}

async function source(call: BareCall): Promise<void> {
  call.resume();
  const message = Buffer.alloc(numberIn(call, MESSAGE_HEADER), 1);
  await writeBytes(call, { message, totalBytes: numberIn(call, TOTAL_HEADER) });
  call.end();
}

function numberIn(call: BareCall, header: string): number {
  return Number(call.metadata.get(header)[0]);
}
