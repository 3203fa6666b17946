/**
 * One open file for several users at a time: opened on first use, closed once it is released and the last user is done.
 */

import type { LogFile } from "./log-files.js";

/** Lends a file. */
export interface SharedHandle {
  /** Runs with the open file; opens it when it is not. Takes back an earlier release. */
  use<T>(run: (file: LogFile) => Promise<T>): Promise<T>;
  /** Closes the file as soon as nobody uses it. */
  release(): Promise<void>;
}

/** Makes a handle that opens its file with `openFile`. */
export function createSharedHandle(openFile: () => Promise<LogFile>): SharedHandle {
  let opening: Promise<LogFile> | undefined;
  let userCount = 0;
  let isReleased = false;

  async function openOnce(): Promise<LogFile> {
    opening ??= openFile();
    const mine = opening;
    try {
      return await mine;
    } catch (error) {
      if (opening === mine) opening = undefined;
      throw error;
    }
  }

  async function closeIfIdle(): Promise<void> {
    if (!isReleased || userCount > 0 || opening === undefined) return;
    const closing = opening;
    opening = undefined;
    await (await closing).close();
  }

  return {
    async use(run) {
      isReleased = false;
      userCount += 1;
      try {
        return await run(await openOnce());
      } finally {
        userCount -= 1;
        await closeIfIdle();
      }
    },
    async release() {
      isReleased = true;
      await closeIfIdle();
    },
  };
}
