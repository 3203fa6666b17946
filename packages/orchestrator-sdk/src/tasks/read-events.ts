/** Reading a task's events: the numbers from the store, the bytes from the output files; replay first, then live. */
import { CortexError, type TaskId } from "@cortex-mesh/protocol";
import { followLog } from "@cortex-mesh/protocol/log";
import { systemScope } from "../access/scope.js";
import type { JsonObject, TaskEvent, TaskState } from "../store/records.js";
import type { HubStore } from "../store/store.js";
import type { Wake } from "../wake/wake.js";
import { isFinal } from "./machine.js";
import type { OutputFiles, OutputStream } from "./output-files.js";
import { MAX_EVENT_BYTES } from "./output-plan.js";
import type { TaskStreamEvent } from "./task-service.js";

/** Events of one batch; with `MAX_BATCH_BYTES` in all, a reader holds no more than a few MiB. */
const EVENTS_A_BATCH = 64;
/** Output bytes of one batch. */
const MAX_BATCH_BYTES = 2 * 1024 * 1024;

/** What reading needs. */
export interface EventReaderOptions {
  readonly store: HubStore;
  readonly files: OutputFiles;
  readonly wake: Wake;
}

/**
 * Replays the events after `afterSeq`, then follows; ends when the task has ended and every event was given, at once when
 * there is none after `afterSeq`, or when `signal` aborts.
 *
 * @throws CortexError `NOT_FOUND` when the task is deleted meanwhile.
 */
export async function* readTaskEvents(
  options: EventReaderOptions,
  taskId: TaskId,
  from: { readonly afterSeq: number; readonly signal?: AbortSignal | undefined },
): AsyncIterable<readonly TaskStreamEvent[]> {
  const { store, files, wake } = options;
  const over = new AbortController();
  const end = (): void => over.abort();
  if (from.signal?.aborted) return;
  from.signal?.addEventListener("abort", end);
  const read = async (afterSeq: number): Promise<readonly TaskEvent[]> =>
    limitBytes(await store.events.read(systemScope, taskId, { afterSeq, limit: EVENTS_A_BATCH }));
  try {
    const atStart = await store.tasks.get(systemScope, taskId);
    let hasEnded = atStart !== undefined && isFinal(atStart.state);
    const batches = followLog<TaskEvent, number>({
      after: from.afterSeq,
      async readAfter(afterSeq) {
        const events = await read(afterSeq);
        if (events.length > 0) return events;
        const task = await store.tasks.get(systemScope, taskId);
        if (task === undefined) throw new CortexError("NOT_FOUND", `task ${taskId} was deleted`);
        if (!isFinal(task.state)) return events;
        // Its last event may have been committed between the two reads.
        const rest = await read(afterSeq);
        if (rest.length === 0) end();
        return rest;
      },
      cursorOf: (event) => event.seq,
      isAll: (events) => {
        // A task that has ended wakes nobody any more, also when output of its lost attempt came behind its end.
        hasEnded ||= events.some(isEnd);
        return !hasEnded && events.length < EVENTS_A_BATCH && !isCut(events);
      },
      subscribe: (listener) => wake.listen(`task:${taskId}`, listener),
      signal: over.signal,
    });
    for await (const batch of batches) yield await load(files, taskId, batch);
  } finally {
    from.signal?.removeEventListener("abort", end);
  }
}

function limitBytes(events: readonly TaskEvent[]): readonly TaskEvent[] {
  let bytes = 0;
  const end = events.findIndex((event) => (bytes += event.length) > MAX_BATCH_BYTES);
  return end < 0 ? events : events.slice(0, Math.max(1, end));
}

function isEnd({ kind, data }: TaskEvent): boolean {
  return kind === "state" && isFinal(asObject(data)["state"] as TaskState);
}

/** Whether more events of the read may have been left behind for their size. */
function isCut(events: readonly TaskEvent[]): boolean {
  return events.reduce((bytes, event) => bytes + event.length, 0) > MAX_BATCH_BYTES - MAX_EVENT_BYTES;
}

/** Reads the bytes of a batch with one read a stream: events of one stream follow each other in its file. */
async function load(
  files: OutputFiles,
  taskId: TaskId,
  batch: readonly TaskEvent[],
): Promise<readonly TaskStreamEvent[]> {
  const spans = {
    stdout: await readSpan(files, taskId, { stream: "stdout", batch }),
    stderr: await readSpan(files, taskId, { stream: "stderr", batch }),
  };
  return batch.map(({ seq, kind, atMs, data, length }) => {
    if (kind !== "stdout" && kind !== "stderr") return { seq, kind, atMs, data: asObject(data), bytes: undefined };
    return { seq, kind, atMs, data: undefined, bytes: spans[kind].next(length) };
  });
}

/** Bytes of one stream, handed out from front to back. */
interface Span {
  next(length: number): Uint8Array;
}

async function readSpan(
  files: OutputFiles,
  taskId: TaskId,
  { stream, batch }: { readonly stream: OutputStream; readonly batch: readonly TaskEvent[] },
): Promise<Span> {
  const events = batch.filter(({ kind }) => kind === stream);
  const [first, last] = [events[0], events.at(-1)];
  const chunks: Uint8Array[] = [];
  if (first !== undefined && last !== undefined) {
    const range = { start: first.offset, end: last.offset + last.length };
    for await (const chunk of files.read(taskId, stream, range)) chunks.push(chunk);
  }
  return createSpan(chunks);
}

/** Copies only what lies across two chunks. */
function createSpan(chunks: readonly Uint8Array[]): Span {
  let index = 0;
  let used = 0;
  const take = (length: number): Uint8Array => {
    const chunk = chunks[index] ?? new Uint8Array(0);
    const piece = chunk.subarray(used, used + length);
    used += piece.byteLength;
    if (used < chunk.byteLength) return piece;
    index += 1;
    used = 0;
    return piece;
  };
  return {
    next(length) {
      const pieces: Uint8Array[] = [];
      for (let left = length; left > 0 && index < chunks.length; ) {
        const piece = take(left);
        pieces.push(piece);
        left -= piece.byteLength;
      }
      const [only] = pieces;
      if (pieces.length !== 1 || only === undefined) return Buffer.concat(pieces);
      return Buffer.from(only.buffer, only.byteOffset, only.byteLength);
    },
  };
}

function asObject(data: TaskEvent["data"]): JsonObject {
  return typeof data === "object" && data !== null && !Array.isArray(data) ? (data as JsonObject) : { value: data };
}
