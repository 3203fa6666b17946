/** A node as a program has it: made by the SDK, with its state and workspaces in directories of its own. */
import { join } from "node:path";
import { type CortexNode, createNode } from "@cortex-mesh/node-sdk";
import { memoryOfThisProcess } from "./hub.js";
import type { PeerMethods } from "./peer.js";

/** Makes the peer. */
export function createNodePeer(): PeerMethods {
  let node: CortexNode | undefined;
  let onlineAtMs = 0;
  return {
    /** Enrols, goes online and gives its id. */
    async start({ directory, invite }: { readonly directory: string; readonly invite: string }) {
      const started = await createNode({
        stateDirectory: join(directory, "state"),
        workspaceRoot: join(directory, "workspaces"),
        name: "bench",
      });
      node = started;
      started.on("online", () => {
        onlineAtMs = performance.timeOrigin + performance.now();
      });
      const { nodeId } = await started.enrol(invite);
      const online = new Promise<void>((resolve, reject) => {
        started.on("online", () => resolve());
        started.on("stopped", ({ error }) => reject(error ?? new Error("the node ended")));
      });
      await started.start();
      await online;
      return nodeId;
    },
    /** When the node was welcomed the last time, in milliseconds since the Unix epoch. */
    onlineAt: async () => onlineAtMs,
    memory: async () => memoryOfThisProcess(),
    close: async () => node?.close(),
  };
}
