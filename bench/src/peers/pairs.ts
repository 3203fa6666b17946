/** A client and a server, each in a process of its own, connected. */
import type { ChannelRole } from "@cortex-mesh/protocol/grpc";
import { benchCertificates } from "../certificates.js";
import { type Peer, spawnPeer } from "./peer.js";

/** Both ends; disposing ends their processes. */
export interface PeerPair extends AsyncDisposable {
  readonly client: Peer;
  readonly server: Peer;
}

/** Between the ends of a pair: nothing, or something that listens on a port of its own and forwards to the given one. */
export type Between = (port: number) => Promise<number>;

const NOTHING: Between = (port) => Promise.resolve(port);

/** Bare grpc-js at both ends. */
export function openBarePair(options: { readonly isTuned: boolean }, between: Between = NOTHING): Promise<PeerPair> {
  return openPair({ server: "bare-server", client: "bare-client", options, between });
}

/** A Cortex link between the two. */
export function openLinkPair(options: { readonly role: ChannelRole }, between: Between = NOTHING): Promise<PeerPair> {
  return openPair({ server: "link-server", client: "link-client", options, between });
}

async function openPair(pair: {
  readonly server: string;
  readonly client: string;
  readonly options: object;
  readonly between: Between;
}): Promise<PeerPair> {
  const certificates = await benchCertificates();
  const server = spawnPeer(pair.server);
  const client = spawnPeer(pair.client);
  const listening = await server.call<number>("start", { certificates, ...pair.options });
  const port = await pair.between(listening);
  await client.call("start", { certificates, port, ...pair.options });
  return {
    client,
    server,
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}
