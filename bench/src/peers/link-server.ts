/** The hub's end of a Cortex link: the server of production, with handlers that answer pings and move bytes. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Link } from "@cortex-mesh/protocol";
import {
  AgentOrchestrator,
  HubTaskFrameSchema,
  NodeTaskFrameSchema,
  TransferFrameSchema,
} from "@cortex-mesh/protocol/gen";
import { type CallContext, createGrpcServer, type GrpcServer } from "@cortex-mesh/protocol/grpc";
import type { Certificates } from "../certificates.js";
import { MESSAGE_HEADER, TOTAL_HEADER } from "./bare-service.js";
import { doneFrame, sendChunks, sendWhenDrained } from "./link-transfer.js";
import type { PeerMethods } from "./peer.js";

/** Makes the peer. */
export function createLinkServer(): PeerMethods {
  let server: GrpcServer | undefined;
  return {
    start({ certificates: { chainPem, keyPem } }: { readonly certificates: Certificates }) {
      server = createGrpcServer({ tls: { certPem: chainPem, keyPem } });
      server.serve(AgentOrchestrator, { taskStream: serveTasks, transfer: serveTransfer });
      return server.listen("127.0.0.1:0");
    },
    close: async () => server?.forceClose(),
  };
}

/** With a total in the header it counts frames and answers once; without one it answers pings. */
function serveTasks(link: Link, context: CallContext): void {
  const totalBytes = Number(context.header(TOTAL_HEADER) ?? 0);
  if (totalBytes > 0) countBytes(link, totalBytes);
  else answerPings(link);
}

function answerPings(link: Link): void {
  link.onFrames((frames) => {
    for (const bytes of frames) {
      const { seq, epoch, body } = fromBinary(NodeTaskFrameSchema, bytes);
      if (body.case !== "ping") throw new Error(`a ping was expected, not ${body.case}`);
      const pong = create(HubTaskFrameSchema, { seq, epoch, body: { case: "pong", value: { id: body.value.id } } });
      link.send(toBinary(HubTaskFrameSchema, pong));
    }
  });
}

function countBytes(link: Link, totalBytes: number): void {
  let receivedBytes = 0;
  link.onFrames((frames) => {
    for (const bytes of frames) receivedBytes += bytes.byteLength;
    if (receivedBytes >= totalBytes) link.send(Buffer.from("done"));
  });
}

/** A want is answered with the bytes; chunks are answered when all of them are there. */
async function serveTransfer(link: Link, context: CallContext): Promise<void> {
  const totalBytes = Number(context.header(TOTAL_HEADER));
  const messageBytes = Number(context.header(MESSAGE_HEADER));
  let receivedBytes = 0;
  const wanted = new Promise<void>((resolve) => {
    link.onFrames((frames) => {
      for (const bytes of frames) {
        const { body } = fromBinary(TransferFrameSchema, bytes);
        if (body.case === "want") resolve();
        if (body.case !== "chunk") continue;
        receivedBytes += body.value.data.byteLength;
        if (receivedBytes >= totalBytes) link.send(doneFrame(totalBytes));
      }
    });
  });
  const isWanted = await Promise.race([wanted.then(() => true), link.closed.then(() => false)]);
  if (isWanted) await sendChunks(link, { totalBytes, messageBytes });
  if (isWanted) await sendWhenDrained(link, doneFrame(totalBytes));
}
