/** The end of a hub: what is closed, and in which order. */
import type { GrpcServer } from "@cortex-mesh/protocol/grpc";
import type { DataLock } from "./data-lock.js";
import type { HttpServer } from "./http/serve.js";
import type { HubParts } from "./hub-parts.js";
import type { HubStore } from "./store/store.js";

/** Time for answers under way when a hub closes; streams that follow something end at once. */
const CLOSE_GRACE_MS = 1_000;

/**
 * Gives the way to close a hub: idempotent, and what fails to close keeps nothing else open.
 *
 * Rejects with the first failure.
 */
export function closeOnce(running: {
  readonly closing: AbortController;
  readonly http: HttpServer | undefined;
  readonly server: GrpcServer;
  readonly parts: HubParts;
  readonly store: HubStore | undefined;
  readonly lock: DataLock;
}): () => Promise<void> {
  let closing: Promise<void> | undefined;
  const run = async (): Promise<void> => {
    // Nodes hear a goodbye before their connections end; requests that wait for a node end with them.
    running.closing.abort();
    running.server.setServing(false);
    // What fails to close keeps nothing else open; the first failure is told.
    const steps = [
      () => running.http?.close(),
      () => running.parts.close(),
      () => running.server.close({ graceMs: CLOSE_GRACE_MS }),
      () => running.store?.close(),
      // Last: until then no other hub takes the directory.
      async () => running.lock.release(),
    ];
    const failures: unknown[] = [];
    for (const step of steps) {
      try {
        await step();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  };
  return () => {
    closing ??= run();
    return closing;
  };
}
