/**
 * What `join` keeps for `run`, in `settings.json` (0600) of the state directory. The invite is never kept.
 */
import { existsSync } from "node:fs";
import { open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { EXIT, ExitError } from "./exit-status.js";
import type { NodeSettings, RememberedSettings } from "./settings.js";

const FILE = "settings.json";

/** Reads what an earlier join kept; undefined when there was none. */
export async function readRemembered(state: string): Promise<RememberedSettings | undefined> {
  const path = join(state, FILE);
  if (!existsSync(path)) return undefined;
  try {
    return JSON.parse(await readFile(path, "utf8")) as RememberedSettings;
  } catch (error) {
    throw new ExitError(EXIT.stateUnusable, `${path} cannot be read: join again`, { cause: error });
  }
}

/** Keeps the settings, whole or not at all. */
export async function writeRemembered(state: string, settings: NodeSettings): Promise<void> {
  const { invite: _, ...kept } = settings;
  const path = join(state, FILE);
  const draft = `${path}.new`;
  await rm(draft, { force: true });
  const file = await open(draft, "wx", 0o600);
  try {
    await file.writeFile(`${JSON.stringify(kept satisfies RememberedSettings, undefined, 2)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(draft, path);
}
