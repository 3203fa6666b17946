/** A hub and a node, each in a process of its own, connected over TLS on loopback and attached to one session. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type Peer, spawnPeer } from "./peer.js";

/** Both of them; disposing ends their processes. */
export interface Mesh extends AsyncDisposable {
  readonly hub: Peer;
  readonly node: Peer;
}

/** Starts both with their state below `directory`. */
export async function openMesh(directory: string): Promise<Mesh> {
  const hub = spawnPeer("hub");
  const node = spawnPeer("node");
  const [hubDirectory, nodeDirectory] = [join(directory, "hub"), join(directory, "node")];
  await Promise.all([mkdir(hubDirectory), mkdir(nodeDirectory)]);
  const invite = await hub.call<string>("start", { data: hubDirectory });
  const nodeId = await node.call<string>("start", { directory: nodeDirectory, invite });
  await hub.call("attach", { nodeId });
  return {
    hub,
    node,
    async [Symbol.asyncDispose]() {
      await node[Symbol.asyncDispose]();
      await hub[Symbol.asyncDispose]();
    },
  };
}
