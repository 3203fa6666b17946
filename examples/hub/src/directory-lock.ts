/**
 * One hub a data directory: a name in the kernel that belongs to one process and ends with it, however that ends.
 *
 * On Linux it is an abstract socket, named after the directory's inode. Elsewhere only the control socket keeps a second
 * hub out, which two that start in the same instant over the socket of a killed one could both get past.
 */
import { stat } from "node:fs/promises";
import { createServer } from "node:net";
import { EXIT, ExitError } from "./exit-status.js";

/** A held lock. */
export interface DirectoryLock {
  /** Gives it up. */
  release(): Promise<void>;
}

/** Takes the lock. @throws {@link ExitError} with status 73 when another hub has it. */
export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  if (process.platform !== "linux") return { release: async () => undefined };
  const { dev, ino } = await stat(directory, { bigint: true });
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      reject(error.code === "EADDRINUSE" ? directoryInUse(directory) : error),
    );
    server.listen(`\0cortex-hub ${dev}:${ino}`, resolve);
  });
  return { release: () => new Promise((resolve) => server.close(() => resolve())) };
}

/** What a second hub is told. */
export function directoryInUse(directory: string): ExitError {
  return new ExitError(
    EXIT.dataUnusable,
    `${directory} is in use by another hub; each hub needs its own data directory`,
  );
}
