/** The real file operations of a log, noted in order, and broken on demand. */

import { basename } from "node:path";
import type { LogFile, LogFiles } from "../../../src/log/log-files.js";
import { nodeLogFiles } from "../../../src/log/log-files.js";

/** What a test sees and sets. */
export interface WatchedFiles {
  readonly files: LogFiles;
  /** `"write 0000000000000001.seg"`, in order. */
  readonly calls: string[];
  /** Called before each operation; what it throws is what the operation rejects with. */
  fault: (operation: string, name: string) => void | Promise<void>;
  /** Most bytes one write takes. */
  maxWriteBytes: number;
  /** Files open now. */
  openCount: number;
}

/** An error as the system gives it. */
export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: injected`), { code });
}

/** Wraps the file operations of this machine. */
export function watchFiles(): WatchedFiles {
  const note = async (operation: string, path: string): Promise<void> => {
    watched.calls.push(`${operation} ${basename(path)}`);
    await watched.fault(operation, basename(path));
  };
  const watched: WatchedFiles = {
    calls: [],
    fault: () => undefined,
    maxWriteBytes: Number.POSITIVE_INFINITY,
    openCount: 0,
    files: {
      list: (directory) => nodeLogFiles.list(directory),
      async makeDirectory(directory) {
        await note("mkdir", directory);
        return await nodeLogFiles.makeDirectory(directory);
      },
      async open(path, mode) {
        await note("open", path);
        const file = await nodeLogFiles.open(path, mode);
        watched.openCount += 1;
        return watchFile(file, watched, (operation) => note(operation, path));
      },
      async remove(path) {
        await note("remove", path);
        await nodeLogFiles.remove(path);
      },
      async removeDirectory(directory) {
        await note("rmdir", directory);
        await nodeLogFiles.removeDirectory(directory);
      },
      async syncDirectory(directory) {
        await note("syncdir", directory);
        await nodeLogFiles.syncDirectory(directory);
      },
    },
  };
  return watched;
}

function watchFile(file: LogFile, watched: WatchedFiles, note: (operation: string) => Promise<void>): LogFile {
  return {
    async writev(buffers, position) {
      await note("write");
      const taken: Uint8Array[] = [];
      let leftBytes = watched.maxWriteBytes;
      for (const buffer of buffers) {
        if (leftBytes <= 0) break;
        taken.push(buffer.subarray(0, leftBytes));
        leftBytes -= buffer.byteLength;
      }
      return await file.writev(taken, position);
    },
    async read(buffer, range) {
      await note("read");
      return await file.read(buffer, range);
    },
    stat: () => file.stat(),
    async truncate(sizeBytes) {
      await note("truncate");
      await file.truncate(sizeBytes);
    },
    async datasync() {
      await note("sync");
      await file.datasync();
    },
    async close() {
      watched.openCount -= 1;
      await file.close();
    },
  };
}
