/** A temporary directory for SQLite files, and a crash image of one: what a process that dies now leaves behind. */
import { copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface StoreDirectory {
  /** A path for a new database file. */
  newFile(): string;
  /** Copies the file and its log to a new path; the shared memory beside them dies with a process. */
  crashImage(file: string): string;
  remove(): void;
}

export function openStoreDirectory(): StoreDirectory {
  const root = mkdtempSync(join(tmpdir(), "cortex-store-"));
  let count = 0;
  const newFile = (): string => join(root, `hub-${++count}.db`);
  return {
    newFile,
    crashImage: (file) => {
      const image = newFile();
      for (const suffix of ["", "-wal"]) if (existsSync(file + suffix)) copyFileSync(file + suffix, image + suffix);
      return image;
    },
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
}
