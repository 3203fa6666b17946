/** Reading a task's events: the numbers from the store, the bytes from the output files; replay first, then live. */
import type { TaskId } from "@cortex-mesh/protocol";
import { followLog } from "@cortex-mesh/protocol/log";
import { systemScope } from "../access/scope.js";
import type { JsonObject, TaskEvent } from "../store/records.js";
import type { HubStore } from "../store/store.js";
import type { Wake } from "../wake/wake.js";
import { isFinal } from "./machine.js";
import type { OutputFiles } from "./output-files.js";
import type { TaskStreamEvent } from "./task-service.js";

/** Events of one batch; with 256 KiB each at most, a reader holds no more than a few MiB. */
const EVENTS_A_BATCH = 64;
/** Output bytes of one batch. */
const MAX_BATCH_BYTES = 2 * 1024 * 1024;
const NEVER = new AbortController().signal;

/** What reading needs. */
export interface EventReaderOptions {
  readonly store: HubStore;
  readonly files: OutputFiles;
  readonly wake: Wake;
}

/** Replays the events after `afterSeq`, then follows; ends after the final state, or when `signal` aborts. */
export async function* readTaskEvents(
  options: EventReaderOptions,
  taskId: TaskId,
  from: { readonly afterSeq: number; readonly signal?: AbortSignal | undefined },
): AsyncIterable<readonly TaskStreamEvent[]> {
  const { store, files, wake } = options;
  const batches = followLog<TaskEvent, number>({
    after: from.afterSeq,
    readAfter: async (afterSeq) => limitBytes(await store.events.read(systemScope, taskId, { afterSeq, limit: EVENTS_A_BATCH })),
    cursorOf: (event) => event.seq,
    subscribe: (listener) => wake.listen(`task:${taskId}`, listener),
    isLast: isFinalState,
    signal: from.signal ?? NEVER,
  });
  for await (const batch of batches) yield await Promise.all(batch.map((event) => load(files, taskId, event)));
}

/** Whether the event is a final state; an indeterminate task may still be resolved, by a later event. */
export function isFinalState(event: { readonly kind: string; readonly data: unknown }): boolean {
  if (event.kind !== "state" || typeof event.data !== "object" || event.data === null || !("state" in event.data)) return false;
  return isFinal(event.data.state as Parameters<typeof isFinal>[0]);
}

function limitBytes(events: readonly TaskEvent[]): readonly TaskEvent[] {
  let bytes = 0;
  const end = events.findIndex((event) => (bytes += event.length) > MAX_BATCH_BYTES);
  return end < 0 ? events : events.slice(0, Math.max(1, end));
}

async function load(files: OutputFiles, taskId: TaskId, event: TaskEvent): Promise<TaskStreamEvent> {
  const { seq, kind, atMs } = event;
  if (kind !== "stdout" && kind !== "stderr") return { seq, kind, atMs, data: asObject(event.data), bytes: undefined };
  const chunks: Uint8Array[] = [];
  for await (const chunk of files.read(taskId, kind, { start: event.offset, end: event.offset + event.length })) chunks.push(chunk);
  const [only] = chunks;
  return { seq, kind, atMs, data: undefined, bytes: chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks) };
}

function asObject(data: TaskEvent["data"]): JsonObject {
  return typeof data === "object" && data !== null && !Array.isArray(data) ? (data as JsonObject) : { value: data };
}
