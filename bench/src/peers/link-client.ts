/** The node's end of a Cortex link: the channel of production. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Link } from "@cortex-mesh/protocol";
import {
  AgentOrchestrator,
  HubTaskFrameSchema,
  NodeTaskFrameSchema,
  TransferFrameSchema,
} from "@cortex-mesh/protocol/gen";
import { type ChannelRole, type GrpcChannel, openChannel, type ServiceClient } from "@cortex-mesh/protocol/grpc";
import { median } from "../statistics.js";
import { MESSAGE_HEADER, TOTAL_HEADER } from "./bare-service.js";
import { sendChunks, wantFrame } from "./link-transfer.js";
import type { PeerMethods } from "./peer.js";
import { type ClientStart, perSecond, type RoundTripOptions, type TransferOptions } from "./requests.js";

type Orchestrator = ServiceClient<typeof AgentOrchestrator>;

/** Makes the peer. */
export function createLinkClient(): PeerMethods {
  let channel: GrpcChannel | undefined;
  const orchestrator = (): Orchestrator => {
    if (channel === undefined) throw new Error("the client was not started");
    return channel.client(AgentOrchestrator);
  };
  return {
    async start({ port, certificates, role }: ClientStart & { readonly role: ChannelRole }) {
      const { caPem, serverName } = certificates;
      channel = openChannel({ address: `127.0.0.1:${port}`, tls: { caPem, serverName }, role });
    },
    roundTrips: (options: RoundTripOptions) => roundTrips(orchestrator().taskStream(), options),
    frames: (options: TransferOptions) => frames(orchestrator().taskStream({ headers: headersOf(options) }), options),
    upload: (options: TransferOptions) => upload(orchestrator().transfer({ headers: headersOf(options) }), options),
    download: (options: TransferOptions) => download(orchestrator().transfer({ headers: headersOf(options) }), options),
    close: async () => channel?.close(),
  };
}

/** The frame of a ping: what a node sends when it measures its round trip. */
export function pingFrame(id: number): Uint8Array {
  const body = { case: "ping", value: { id: BigInt(id) } } as const;
  return toBinary(NodeTaskFrameSchema, create(NodeTaskFrameSchema, { seq: BigInt(id), epoch: 1n, body }));
}

function headersOf({ totalBytes, messageBytes }: TransferOptions): Readonly<Record<string, string>> {
  return { [TOTAL_HEADER]: String(totalBytes), [MESSAGE_HEADER]: String(messageBytes) };
}

/** One ping at a time, encoding and decoding included; the median in microseconds. */
async function roundTrips(link: Link, { count }: RoundTripOptions): Promise<number> {
  const takenUs: number[] = [];
  await new Promise<void>((resolve, reject) => {
    let sentAtMs = 0;
    const send = (): void => {
      sentAtMs = performance.now();
      link.send(pingFrame(takenUs.length + 1));
    };
    void link.closed.then((reason) => reject(reason ?? new Error("the link ended")));
    link.onFrames(([bytes]) => {
      const frame = fromBinary(HubTaskFrameSchema, bytes ?? new Uint8Array(0));
      if (frame.body.case !== "pong") throw new Error(`a pong was expected, not ${frame.body.case}`);
      takenUs.push((performance.now() - sentAtMs) * 1000);
      if (takenUs.length < count) send();
      else resolve();
    });
    send();
  });
  link.close();
  return median(takenUs);
}

/** Frames queued before the sender looks whether the link wants more; far below what the link would buffer. */
const FRAMES_A_LOOK = 64;

/** Frames of `messageBytes` a second, from the first one to the server's word that it has all. */
async function frames(link: Link, { totalBytes, messageBytes }: TransferOptions): Promise<number> {
  const frame = Buffer.alloc(messageBytes, 1);
  const count = totalBytes / messageBytes;
  const startedAtMs = performance.now();
  const answered = firstFrames(link);
  for (let sent = 0; sent < count; sent += 1) {
    if (sent % FRAMES_A_LOOK === 0) await link.drained();
    link.send(frame);
  }
  await answered;
  const rate = perSecond(count, startedAtMs);
  link.close();
  return rate;
}

/** Bytes a second from the first chunk to the server's word that it has all. */
async function upload(link: Link, options: TransferOptions): Promise<number> {
  const startedAtMs = performance.now();
  await Promise.all([firstFrames(link), sendChunks(link, options)]);
  const rate = perSecond(options.totalBytes, startedAtMs);
  link.close();
  return rate;
}

/** Bytes a second from the request to the last byte. */
async function download(link: Link, { totalBytes }: TransferOptions): Promise<number> {
  const startedAtMs = performance.now();
  const received = new Promise<void>((resolve, reject) => {
    let receivedBytes = 0;
    void link.closed.then((reason) => reject(reason ?? new Error("the link ended")));
    link.onFrames((batch) => {
      for (const bytes of batch) {
        const { body } = fromBinary(TransferFrameSchema, bytes);
        if (body.case === "chunk") receivedBytes += body.value.data.byteLength;
      }
      if (receivedBytes >= totalBytes) resolve();
    });
  });
  link.send(wantFrame());
  await received;
  const rate = perSecond(totalBytes, startedAtMs);
  link.close();
  return rate;
}

function firstFrames(link: Link): Promise<void> {
  return new Promise((resolve, reject) => {
    void link.closed.then((reason) => reject(reason ?? new Error("the link ended")));
    link.onFrames(() => resolve());
  });
}
