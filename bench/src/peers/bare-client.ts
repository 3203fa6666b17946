/** The client of the floors: grpc-js with nothing around it. */
import { Client, type ClientDuplexStream, credentials, Metadata } from "@grpc/grpc-js";
import type { Certificates } from "../certificates.js";
import { median } from "../statistics.js";
import { BARE_SERVICE, type BareMethod, MESSAGE_HEADER, TOTAL_HEADER, TUNED_WINDOW_BYTES } from "./bare-service.js";
import type { PeerMethods } from "./peer.js";
import type { ClientStart, RoundTripOptions, TransferOptions } from "./requests.js";
import { perSecond } from "./requests.js";
import { writeBytes } from "./write-bytes.js";

type BareCall = ClientDuplexStream<Buffer, Buffer>;

/** Makes the peer. */
export function createBareClient(): PeerMethods {
  let client: Client | undefined;
  const open = (method: BareMethod, headers: Readonly<Record<string, number>> = {}): BareCall => {
    if (client === undefined) throw new Error("the client was not started");
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(headers)) metadata.set(name, String(value));
    return client.makeBidiStreamRequest(method.path, method.requestSerialize, method.responseDeserialize, metadata);
  };
  return {
    async start(options: ClientStart & { readonly isTuned: boolean }) {
      client = connect(options);
    },
    roundTrips: (options: RoundTripOptions) => roundTrips(open(BARE_SERVICE.echo), options),
    upload: (options: TransferOptions) => upload(open(BARE_SERVICE.sink, headersOf(options)), options),
    download: (options: TransferOptions) => download(open(BARE_SERVICE.source, headersOf(options)), options),
    close: async () => client?.close(),
  };
}

function connect({ port, certificates, isTuned }: ClientStart & { readonly isTuned: boolean }): Client {
  const { caPem, serverName }: Certificates = certificates;
  return new Client(`127.0.0.1:${port}`, credentials.createSsl(Buffer.from(caPem)), {
    "grpc.ssl_target_name_override": serverName,
    ...(isTuned ? { "grpc-node.flow_control_window": TUNED_WINDOW_BYTES } : {}),
  });
}

function headersOf({ totalBytes, messageBytes }: TransferOptions): Readonly<Record<string, number>> {
  return { [TOTAL_HEADER]: totalBytes, [MESSAGE_HEADER]: messageBytes };
}

/** One message at a time; the median in microseconds. */
async function roundTrips(call: BareCall, { count, sizeBytes }: RoundTripOptions): Promise<number> {
  const message = Buffer.alloc(sizeBytes, 1);
  const takenUs: number[] = [];
  await new Promise<void>((resolve, reject) => {
    let sentAtMs = 0;
    const send = (): void => {
      sentAtMs = performance.now();
      call.write(message);
    };
    call.on("error", reject);
    call.on("data", () => {
      takenUs.push((performance.now() - sentAtMs) * 1000);
      if (takenUs.length < count) send();
      else resolve();
    });
    send();
  });
  call.end();
  return median(takenUs);
}

/** Bytes a second from the first write to the server's word that it has all. */
async function upload(call: BareCall, { totalBytes, messageBytes }: TransferOptions): Promise<number> {
  const startedAtMs = performance.now();
  const answered = new Promise<void>((resolve, reject) => {
    call.on("error", reject);
    call.on("data", () => resolve());
  });
  await Promise.all([answered, writeBytes(call, { message: Buffer.alloc(messageBytes, 1), totalBytes })]);
  const rate = perSecond(totalBytes, startedAtMs);
  call.end();
  return rate;
}

/** Bytes a second from the request to the last byte. */
async function download(call: BareCall, { totalBytes }: TransferOptions): Promise<number> {
  const startedAtMs = performance.now();
  await new Promise<void>((resolve, reject) => {
    let receivedBytes = 0;
    call.on("error", reject);
    call.on("data", (message: Buffer) => {
      receivedBytes += message.byteLength;
      if (receivedBytes >= totalBytes) resolve();
    });
  });
  const rate = perSecond(totalBytes, startedAtMs);
  call.end();
  return rate;
}
