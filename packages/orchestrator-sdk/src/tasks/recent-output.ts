/**
 * Output files that keep what was written last: who follows a running task reads nothing back from disk.
 *
 * - R1 bytes are kept after they are durable, never before: what is read was written.
 * - R2 memory is bounded, a stream and in all; what was written longest ago goes first.
 */
import type { TaskId } from "@cortex-mesh/protocol";
import type { OutputFiles, OutputStream } from "./output-files.js";

/** Kept of one stream: two commits and the batch of a reader that is one behind. */
const MAX_STREAM_BYTES = 4 * 1024 * 1024;
/** Kept in all: four noisy tasks, or thousands of quiet ones. */
const MAX_TOTAL_BYTES = 16 * 1024 * 1024;
/** Streams that something is kept of; each costs a little beside its bytes. */
const MAX_STREAMS = 4096;
/** A piece of a buffer this many times its size is copied, so that it does not keep the rest alive; a record is a quarter of a message. */
const SPARSE_RATIO = 8;
/** Smaller pieces are joined: each costs some two hundred bytes of its own, and a read looks at all of them. */
const SMALL_BYTES = 32 * 1024;

/** The end of one stream, in the pieces that it came in. */
interface Recent {
  startOffset: number;
  endOffset: number;
  readonly chunks: Uint8Array[];
}

/** Wraps `files`; what is not in memory is read from them. */
export function withRecentOutput(files: OutputFiles): OutputFiles {
  const streams = createRecentStreams();
  const forgetTask = (taskId: TaskId): void => {
    streams.forget(keyOf(taskId, "stdout"));
    streams.forget(keyOf(taskId, "stderr"));
  };
  return {
    async append(taskId, stream, at) {
      await files.append(taskId, stream, at);
      streams.keep(keyOf(taskId, stream), at.offset, at.chunks);
    },
    read(taskId, stream, range) {
      const recent = streams.find(keyOf(taskId, stream));
      const isKept = recent !== undefined && range.start >= recent.startOffset && range.end <= recent.endOffset;
      return isKept ? once(cut(recent, range)) : files.read(taskId, stream, range);
    },
    async release(taskId) {
      forgetTask(taskId);
      await files.release(taskId);
    },
    async remove(taskId) {
      forgetTask(taskId);
      await files.remove(taskId);
    },
    async close() {
      streams.forgetAll();
      await files.close();
    },
  };
}

interface RecentStreams {
  find(key: string): Recent | undefined;
  /** Keeps what was written at `offset`. */
  keep(key: string, offset: number, chunks: readonly Uint8Array[]): void;
  forget(key: string): void;
  forgetAll(): void;
}

function createRecentStreams(): RecentStreams {
  /** Least recently written first. */
  const streams = new Map<string, Recent>();
  let totalBytes = 0;

  const forget = (key: string): void => {
    const recent = streams.get(key);
    if (recent === undefined) return;
    totalBytes -= recent.endOffset - recent.startOffset;
    streams.delete(key);
  };
  const dropFirst = (recent: Recent): void => {
    const bytes = recent.chunks.shift()?.byteLength ?? 0;
    recent.startOffset += bytes;
    totalBytes -= bytes;
  };
  const makeRoom = (): void => {
    for (const [key, recent] of streams) {
      if (totalBytes <= MAX_TOTAL_BYTES && streams.size <= MAX_STREAMS) return;
      while (totalBytes > MAX_TOTAL_BYTES && recent.chunks.length > 0) dropFirst(recent);
      if (recent.chunks.length === 0 || streams.size > MAX_STREAMS) forget(key);
    }
  };
  return {
    find: (key) => streams.get(key),
    forget,
    forgetAll: () => streams.forEach((_recent, key) => forget(key)),
    keep(key, offset, chunks) {
      const present = streams.get(key);
      // A range that is written again replaces what came of it.
      const recent = present?.endOffset === offset ? present : { startOffset: offset, endOffset: offset, chunks: [] };
      if (recent !== present) forget(key);
      streams.delete(key);
      streams.set(key, recent);
      const bytes = sizeOf(chunks);
      pushJoined(recent.chunks, chunks);
      recent.endOffset += bytes;
      totalBytes += bytes;
      while (recent.endOffset - recent.startOffset > MAX_STREAM_BYTES) dropFirst(recent);
      makeRoom();
    },
  };
}

function keyOf(taskId: TaskId, stream: OutputStream): string {
  return `${taskId}/${stream}`;
}

function sizeOf(chunks: readonly Uint8Array[]): number {
  return chunks.reduce((bytes, chunk) => bytes + chunk.byteLength, 0);
}

/** Adds pieces behind the others; neighbours that are small become one. */
function pushJoined(kept: Uint8Array[], chunks: readonly Uint8Array[]): void {
  const last = kept.at(-1);
  let small = last !== undefined && last.byteLength < SMALL_BYTES ? kept.splice(-1) : [];
  let smallBytes = sizeOf(small);
  const flush = (): void => {
    const [only] = small;
    if (only !== undefined) kept.push(small.length === 1 ? only : Buffer.concat(small));
    small = [];
    smallBytes = 0;
  };
  for (const chunk of chunks) {
    if (chunk.byteLength >= SMALL_BYTES) {
      flush();
      kept.push(dense(chunk));
      continue;
    }
    small.push(chunk);
    smallBytes += chunk.byteLength;
    if (smallBytes >= SMALL_BYTES) flush();
  }
  // One that stays alone does not keep the message alive that it came in.
  small = small.map(dense);
  flush();
}

function dense(chunk: Uint8Array): Uint8Array {
  return chunk.byteLength * SPARSE_RATIO < chunk.buffer.byteLength ? Uint8Array.from(chunk) : chunk;
}

/** The pieces of a range that is kept; taken at once, since they may be dropped while they are read. */
function cut({ startOffset, chunks }: Recent, { start, end }: { readonly start: number; readonly end: number }) {
  const pieces: Uint8Array[] = [];
  let at = startOffset;
  for (const chunk of chunks) {
    const next = at + chunk.byteLength;
    if (next > start && at < end) pieces.push(chunk.subarray(Math.max(0, start - at), Math.min(end, next) - at));
    if (next >= end) break;
    at = next;
  }
  return pieces;
}

async function* once(pieces: readonly Uint8Array[]): AsyncIterable<Uint8Array> {
  yield* pieces;
}
