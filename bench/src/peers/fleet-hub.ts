/** A hub with many nodes: made by the SDK, with its state in a directory, restarted on its address. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createHub, type Hub } from "@cortex-mesh/orchestrator-sdk";
import { hubServerName } from "@cortex-mesh/protocol";
import type { FleetEndpoint } from "./fleet-member.js";
import type { PeerMethods } from "./peer.js";
import { readCpuUs, settledFigures } from "./process-figures.js";

const USER = "bench";
/** How often a node is looked at, in milliseconds. */
const LOOK_MS = 20;
/** Invites made at once. */
const INVITING = 32;

/** A server that takes connections. */
export interface FleetServerStart {
  readonly endpoint: FleetEndpoint;
  /** When it was ready, in milliseconds since the Unix epoch. */
  readonly readyAtMs: number;
}

/** Makes the peer. */
export function createFleetHub(): PeerMethods {
  let hub: Hub | undefined;
  const open = (): Hub => {
    if (hub === undefined) throw new Error("the hub was not started");
    return hub;
  };
  return {
    /** Starts it on the state in `data`, on a free port or on the one of `address`. */
    async start({ data, address }: { readonly data: string; readonly address?: string }): Promise<FleetServerStart> {
      hub = await createHub({ data, ...(address === undefined ? {} : { grpc: address }) });
      const readyAtMs = performance.timeOrigin + performance.now();
      const { hubId, grpcAddress } = hub;
      const caPem = await readFile(join(data, "ca", "ca.pem"), "utf8");
      return { endpoint: { address: grpcAddress, caPem, serverName: hubServerName(hubId), hubId }, readyAtMs };
    },
    async tickets({ count }: { readonly count: number }) {
      const api = open().as(USER);
      const invites: string[] = [];
      while (invites.length < count) {
        const some = Array.from({ length: Math.min(INVITING, count - invites.length) }, () => api.createInvite({}));
        for (const { invite } of await Promise.all(some)) invites.push(invite);
      }
      return invites;
    },
    /** Waits until a node has the status; gives when, in milliseconds since the Unix epoch. */
    async becomes({ nodeId, status }: { readonly nodeId: string; readonly status: "online" | "offline" }) {
      while ((await open().as(USER).getNode({ nodeId })).status !== status) await pause(LOOK_MS);
      return performance.timeOrigin + performance.now();
    },
    figures: settledFigures,
    cpu: async () => readCpuUs(),
    close: async () => hub?.close(),
  };
}

function pause(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}
