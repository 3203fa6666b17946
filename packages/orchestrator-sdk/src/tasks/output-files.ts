/**
 * The bytes of task output: `ROOT/<taskId>/stdout` and `stderr`, plain files. The store says how many of their bytes count;
 * what lies beyond (a crash between write and commit) is overwritten by the next append.
 */
import { constants } from "node:fs";
import { type FileHandle, mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { CortexError, type TaskId } from "@cortex-mesh/protocol";

/** Streams of a task that are kept as files. */
export type OutputStream = "stdout" | "stderr";

/** Bytes that one read hands out at most. */
export const OUTPUT_READ_BYTES = 256 * 1024;
/** Files held open for appending; one noisy task uses one or two. */
const MAX_OPEN_FILES = 256;

/** Where output bytes lie. */
export interface OutputFiles {
  /** Writes at `offset` and makes it durable. Appends to one file must not overlap in time. */
  append(
    taskId: TaskId,
    stream: OutputStream,
    at: { readonly offset: number; readonly chunks: readonly Uint8Array[] },
  ): Promise<void>;
  /** Reads `[start, end)`; the caller names only committed ranges. */
  read(
    taskId: TaskId,
    stream: OutputStream,
    range: { readonly start: number; readonly end: number },
  ): AsyncIterable<Uint8Array>;
  /** Closes the task's files for appending, after what is being written; they open again when needed. */
  release(taskId: TaskId): Promise<void>;
  /** Deletes the task's files; harmless when there are none. */
  remove(taskId: TaskId): Promise<void>;
  /** Closes every file; nothing is taken any more. */
  close(): Promise<void>;
}

/** A file that is open for appending. */
interface OpenFile {
  readonly handle: Promise<FileHandle>;
  /** The append that goes on; never rejects. */
  busy: Promise<void> | undefined;
}

/** Opens the output directory, making it when missing. */
export async function openOutputFiles(root: string): Promise<OutputFiles> {
  await mkdir(root, { recursive: true, mode: 0o700 });
  /** Least recently used first. */
  const files = new Map<string, OpenFile>();
  let isClosed = false;

  const take = (taskId: TaskId, stream: OutputStream): OpenFile => {
    if (isClosed) throw new CortexError("UNAVAILABLE", "the output files are closed");
    const key = keyOf(taskId, stream);
    const file = files.get(key) ?? { handle: create(root, taskId, stream), busy: undefined };
    files.delete(key);
    files.set(key, file);
    file.handle.catch(() => files.get(key) === file && files.delete(key));
    return file;
  };
  const closeFiles = async (keys: readonly string[]): Promise<void> => {
    for (const key of keys) {
      const file = files.get(key);
      files.delete(key);
      await file?.busy;
      await (await file?.handle)?.close();
    }
  };
  const closeIdle = async (): Promise<void> => {
    const idle = [...files].filter(([, { busy }]) => busy === undefined).map(([key]) => key);
    await closeFiles(idle.slice(0, Math.max(0, files.size - MAX_OPEN_FILES)));
  };
  const release = (taskId: TaskId): Promise<void> => closeFiles([keyOf(taskId, "stdout"), keyOf(taskId, "stderr")]);
  return {
    async append(taskId, stream, { offset, chunks }) {
      const file = take(taskId, stream);
      const written = file.handle.then((handle) => writeDurably(handle, offset, chunks));
      file.busy = written.catch(() => undefined);
      try {
        await written;
      } catch (error) {
        throw asStorageError(error);
      } finally {
        file.busy = undefined;
      }
      if (files.size > MAX_OPEN_FILES) await closeIdle();
    },
    read: (taskId, stream, range) => readRange(join(root, taskId, stream), range),
    release,
    async remove(taskId) {
      await release(taskId);
      await rm(join(root, taskId), { recursive: true, force: true });
    },
    close() {
      isClosed = true;
      return closeFiles([...files.keys()]);
    },
  };
}

function keyOf(taskId: TaskId, stream: OutputStream): string {
  return `${taskId}/${stream}`;
}

async function create(root: string, taskId: TaskId, stream: OutputStream): Promise<FileHandle> {
  const directory = join(root, taskId);
  const made = await mkdir(directory, { recursive: true, mode: 0o700 });
  const handle = await open(join(directory, stream), constants.O_RDWR | constants.O_CREAT, 0o600);
  try {
    // A new name is durable only when its directory is.
    await syncDirectory(directory);
    if (made !== undefined) await syncDirectory(root);
  } catch (error) {
    await handle.close();
    throw error;
  }
  return handle;
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, constants.O_RDONLY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

async function writeDurably(handle: FileHandle, offset: number, chunks: readonly Uint8Array[]): Promise<void> {
  const totalBytes = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
  const { bytesWritten } = await handle.writev([...chunks], offset);
  if (bytesWritten < totalBytes) {
    await writeRest(handle, Buffer.concat(chunks).subarray(bytesWritten), offset + bytesWritten);
  }
  await handle.datasync();
}

async function writeRest(handle: FileHandle, rest: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < rest.byteLength) {
    const { bytesWritten } = await handle.write(rest, done, rest.byteLength - done, position + done);
    done += bytesWritten;
  }
}

async function* readRange(
  path: string,
  { start, end }: { readonly start: number; readonly end: number },
): AsyncIterable<Uint8Array> {
  if (end <= start) return;
  const handle = await open(path, constants.O_RDONLY);
  try {
    let position = start;
    while (position < end) {
      const wanted = Math.min(OUTPUT_READ_BYTES, end - position);
      const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(wanted), 0, wanted, position);
      if (bytesRead === 0)
        throw new CortexError("DATA_CORRUPT", `output file ends at ${position}, ${end} bytes were committed`);
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}

function asStorageError(error: unknown): unknown {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code !== "ENOSPC" && code !== "EDQUOT") return error;
  return new CortexError("STORAGE_FULL", "the disk of the hub is full; output waits on the nodes until there is room", {
    cause: error,
  });
}
