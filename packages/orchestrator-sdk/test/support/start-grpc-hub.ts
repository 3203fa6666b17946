/** A hub on a port, over real gRPC and TLS, whose wall clock a test may set forward. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { type Clock, systemClock, systemIds } from "@cortex-mesh/protocol";
import { createHub, type Hub, type HubOptions } from "../../src/hub.js";
import { type HubAuthority, openAuthority } from "../../src/nodes/authority.js";
import { createMemoryStore } from "../../src/store/memory/memory-store.js";

export interface GrpcHub {
  readonly hub: Hub;
  readonly authority: HubAuthority;
  readonly alice: ReturnType<Hub["as"]>;
  /** Sets the hub's wall clock forward; its timers go on as they are. */
  skip(ms: number): void;
  nowMs(): number;
  /** A fresh invite of alice. */
  invite(): Promise<string>;
  /** An attached node and a task for it, as far as the hub is concerned. */
  dispatchTo(nodeId: string): Promise<string>;
}

export async function startGrpcHub(options: Pick<HubOptions, "strangers"> = {}): Promise<GrpcHub> {
  const data = await mkdtemp(join(tmpdir(), "cortex-hub-"));
  let skippedMs = 0;
  const clock: Clock = { ...systemClock, nowMs: () => systemClock.nowMs() + skippedMs };
  const store = createMemoryStore();
  const hub = await createHub({ data, store, clock, ...options });
  onTestFinished(async () => {
    await hub.close();
    await store.close();
    await rm(data, { recursive: true, force: true });
  });
  const alice = hub.as("alice");
  return {
    hub,
    alice,
    authority: await openAuthority({ store, ids: systemIds }),
    skip: (ms) => {
      skippedMs += ms;
    },
    nowMs: () => clock.nowMs(),
    invite: async () => (await alice.createInvite({})).invite,
    async dispatchTo(nodeId) {
      const { sessionId } = await alice.createSession({ nodes: [{ nodeId }] });
      return (await alice.dispatch({ sessionId, skill: "shell", input: { command: "true" } })).taskId;
    },
  };
}
