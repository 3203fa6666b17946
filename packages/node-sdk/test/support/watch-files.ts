/** The real file operations of logs, broken on demand. */
import { basename } from "node:path";
import { type LogFile, type LogFiles, nodeLogFiles } from "@cortex-mesh/protocol/log";

/** What a log does with its files. */
export type FileOperation = "list" | "open" | "read" | "write" | "sync";

/** What a test sees and sets. */
export interface WatchedFiles {
  readonly files: LogFiles;
  /** Called before an operation, with the name of the file or directory; what it throws the operation rejects with. */
  fault: (operation: FileOperation, name: string) => void | Promise<void>;
}

/** An error as the system gives it. */
export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: injected`), { code });
}

/** Wraps the file operations of this machine. */
export function watchFiles(): WatchedFiles {
  const watched: WatchedFiles = {
    fault: () => undefined,
    files: {
      ...nodeLogFiles,
      async list(directory) {
        await watched.fault("list", basename(directory));
        return await nodeLogFiles.list(directory);
      },
      async open(path, mode) {
        await watched.fault("open", basename(path));
        const file = await nodeLogFiles.open(path, mode);
        return watchFile(file, async (operation) => await watched.fault(operation, basename(path)));
      },
    },
  };
  return watched;
}

function watchFile(file: LogFile, note: (operation: FileOperation) => Promise<void>): LogFile {
  return {
    async writev(buffers, position) {
      await note("write");
      return await file.writev(buffers, position);
    },
    async read(buffer, range) {
      await note("read");
      return await file.read(buffer, range);
    },
    stat: () => file.stat(),
    truncate: (sizeBytes) => file.truncate(sizeBytes),
    async datasync() {
      await note("sync");
      await file.datasync();
    },
    close: () => file.close(),
  };
}
