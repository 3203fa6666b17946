/** A hub's identity parts on a store in memory, with a clock that the test moves. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { type Clock, isCortexError, systemIds } from "@cortex-mesh/protocol";
import { createCaller } from "../../src/access/caller.js";
import { type HubAuthority, openAuthority } from "../../src/nodes/authority.js";
import { createInvites, type Invites } from "../../src/nodes/invites.js";
import { createMemoryStore } from "../../src/store/memory/memory-store.js";
import type { HubStore } from "../../src/store/store.js";

/** A clock that stands still until it is moved. */
export interface ManualClock extends Clock {
  advance(ms: number): void;
}

export function createManualClock(startMs = 1_800_000_000_000): ManualClock {
  let elapsedMs = 0;
  return {
    nowMs: () => startMs + elapsedMs,
    monotonicMs: () => elapsedMs,
    setTimer: () => ({ cancel: () => {} }),
    advance: (ms) => {
      elapsedMs += ms;
    },
  };
}

export async function openTempDirectory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "cortex-nodes-"));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}

export function openTempStore(): HubStore {
  const store = createMemoryStore();
  onTestFinished(() => store.close());
  return store;
}

export const alice = createCaller("alice");
export const bob = createCaller("bob");

export interface Identity {
  readonly store: HubStore;
  readonly clock: ManualClock;
  readonly authority: HubAuthority;
  readonly invites: Invites;
}

export async function openIdentity(): Promise<Identity> {
  const store = openTempStore();
  const clock = createManualClock();
  const authority = await openAuthority({ store, ids: systemIds });
  const endpoint = () => ({ address: "127.0.0.1:50051", caFingerprint: "ab".repeat(32) });
  const invites = createInvites({ store, authority, clock, ids: systemIds, endpoint });
  return { store, clock, authority, invites };
}

/** The code and message of a refusal; undefined when there is none. Other errors pass through. */
export async function refusalOf(work: Promise<unknown>): Promise<{ code: string; message: string } | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    if (isCortexError(error)) return { code: error.code, message: error.message };
    throw error;
  }
}
