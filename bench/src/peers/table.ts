/** The peers by name; each is loaded only by its own process. */
import { createFleetClients } from "./fleet-clients.js";
import type { PeerMethods } from "./peer.js";

/** How each peer is made. */
export const PEERS: Readonly<Record<string, () => Promise<PeerMethods>>> = {
  "bare-server": async () => (await import("./bare-server.js")).createBareServer(),
  "bare-client": async () => (await import("./bare-client.js")).createBareClient(),
  "link-server": async () => (await import("./link-server.js")).createLinkServer(),
  "link-client": async () => (await import("./link-client.js")).createLinkClient(),
  "cortex-fleet-server": async () => (await import("./fleet-hub.js")).createFleetHub(),
  "cortex-fleet-clients": async () => createFleetClients((await import("./cortex-member.js")).makeCortexMember),
  "bare-fleet-server": async () => (await import("./bare-server.js")).createBareServer(),
  "bare-fleet-clients": async () => createFleetClients((await import("./bare-member.js")).makeBareMember),
  hub: async () => (await import("./hub.js")).createHubPeer(),
  node: async () => (await import("./node.js")).createNodePeer(),
  "spawn-floor": async () => (await import("./spawn-floor.js")).createSpawnFloor(),
  "delay-proxy": async () => (await import("./delay-proxy.js")).createDelayProxy(),
};
