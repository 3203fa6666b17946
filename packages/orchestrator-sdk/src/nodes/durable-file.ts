/** Writing a small file so that after a crash it is the old one or the new one, and never a part. */
import { randomBytes } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

/** What to write. */
export interface DurableFile {
  readonly path: string;
  readonly content: string;
  /** Holds from the first byte on, so that a secret is never readable for a moment. */
  readonly mode: number;
}

/** Replaces a file: temporary file, fsync, rename, fsync of the directory. */
export async function writeDurableFile({ path, content, mode }: DurableFile): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`;
  try {
    const file = await open(temporary, "wx", mode);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncDirectory(dirname(path));
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
