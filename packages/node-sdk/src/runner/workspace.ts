/**
 * Where a task works: the directory of its session below the workspace root, and the directory in it that it names.
 *
 * A name is checked before it is used, and the result once more after links are resolved; both must stay inside.
 */
import { mkdir, realpath } from "node:fs/promises";
import { isAbsolute, join, sep } from "node:path";
import { CortexError, MAX_PATH_BYTES, MAX_PATH_COMPONENT_BYTES } from "@cortex-mesh/protocol";

/** The engine's own directory beside the workspaces; nothing of a user may have this name, in any case. */
const RESERVED_NAME = ".cortex";

/** Where a task works. Both absolute, links resolved. */
export interface TaskPlace {
  readonly workspacePath: string;
  readonly cwd: string;
}

/**
 * Checks a relative path and gives its components; empty for the directory itself.
 *
 * @throws CortexError `PATH_OUTSIDE_WORKSPACE` when it leads out, `BAD_NAME` for a name that is reserved, too
 * long or holds NUL.
 */
export function parseRelativePath(path: string): string[] {
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) throw badName(`a path has at most ${MAX_PATH_BYTES} bytes`);
  if (path.includes("\0")) throw badName("a path must not hold NUL");
  if (isAbsolute(path)) throw outside(`the path "${path.slice(0, 200)}" is absolute; it is relative to the workspace`);
  const components = path.split("/").filter((component) => component !== "" && component !== ".");
  for (const component of components) {
    if (component === "..") throw outside(`the path "${path.slice(0, 200)}" leads out of the workspace`);
    if (Buffer.byteLength(component) > MAX_PATH_COMPONENT_BYTES) {
      throw badName(`a name has at most ${MAX_PATH_COMPONENT_BYTES} bytes`);
    }
    if (foldCase(component) === RESERVED_NAME) throw badName(`the name "${component}" is reserved`);
  }
  return components;
}

/** What a task says about where it works. */
export interface PlaceRequest {
  /** Absolute. */
  readonly workspaceRoot: string;
  /** Path below the root; empty for a directory named by the session. */
  readonly workspacePath: string;
  readonly sessionId: string;
  /** Relative to the workspace; empty for the workspace itself. */
  readonly cwd: string;
}

/**
 * Finds the directories of a task; makes the workspace (0700) when it is missing.
 *
 * @throws CortexError `PATH_OUTSIDE_WORKSPACE`, `BAD_NAME`; `BAD_REQUEST` when the cwd is missing.
 */
export async function prepareTaskPlace(request: PlaceRequest): Promise<TaskPlace> {
  const names = parseRelativePath(request.workspacePath === "" ? request.sessionId : request.workspacePath);
  const cwdNames = parseRelativePath(request.cwd);
  if (names.length === 0) throw outside("a session's workspace is a directory below the workspace root");
  await mkdir(request.workspaceRoot, { recursive: true, mode: 0o700 });
  const root = await realpath(request.workspaceRoot);
  const workspacePath = await makeBelow(root, names);
  if (cwdNames.length === 0) return { workspacePath, cwd: workspacePath };
  const cwd = await resolveDirectory(join(workspacePath, ...cwdNames), request.cwd);
  if (cwd !== workspacePath) assertInside(workspacePath, cwd);
  return { workspacePath, cwd };
}

/** Makes the directories one by one, so that nothing is ever made behind a link that leads out. */
async function makeBelow(root: string, names: readonly string[]): Promise<string> {
  let path = root;
  for (const name of names) {
    const next = join(path, name);
    path = await makeDirectory(next, name);
    assertInside(root, path);
  }
  return path;
}

async function makeDirectory(path: string, name: string): Promise<string> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
    return await realpath(path);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? "UNKNOWN";
    if (code === "ENOSPC" || code === "EDQUOT") {
      throw new CortexError("STORAGE_FULL", "the node has no room for the workspace", { cause });
    }
    throw new CortexError("BAD_REQUEST", `workspace: "${name}" cannot be made or entered: ${code}`, { cause });
  }
}

async function resolveDirectory(path: string, asked: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    throw new CortexError("BAD_REQUEST", `cwd: there is no directory "${asked}" in the workspace`, { cause: error });
  }
}

function assertInside(parent: string, path: string): void {
  const prefix = parent.endsWith(sep) ? parent : parent + sep;
  if (!path.startsWith(prefix)) throw outside("the path leads out of the workspace through a link");
}

/** One spelling for names that a file system which ignores case and composition takes for the same. */
function foldCase(name: string): string {
  return name.normalize("NFKC").toLowerCase();
}

function outside(message: string): CortexError {
  return new CortexError("PATH_OUTSIDE_WORKSPACE", message);
}

function badName(message: string): CortexError {
  return new CortexError("BAD_NAME", message);
}
