/**
 * Checks the path of a session's workspace on a node: below the node's workspace root, and not the engine's own folder.
 *
 * Text only; that no symlink leads out is the node's to ensure when it opens the path.
 */
import { CortexError, MAX_PATH_BYTES, MAX_PATH_COMPONENT_BYTES } from "@cortex-mesh/protocol";

/** Folder of the engine beside the workspaces. */
const ENGINE_FOLDER = ".cortex";
/** Characters that no path component may have: controls, and the separator of other systems. */
const FORBIDDEN = /[\p{Cc}\\]/u;

/**
 * Checks and normalises a path: no `.` components, no repeated or trailing slashes.
 *
 * @throws CortexError `PATH_OUTSIDE_WORKSPACE` for an absolute path or one with `..`; `BAD_NAME` for one that is
 * empty, too long, has control characters, a backslash or unpaired surrogates, or names the engine's folder.
 */
export function parseWorkspacePath(path: string): string {
  if (path.startsWith("/") || /^[A-Za-z]:/.test(path))
    throw outside("the path must be relative to the node's workspace root");
  const components = path.split("/").filter((component) => component !== "" && component !== ".");
  if (components.some((component) => component === "..")) throw outside('the path must not contain ".."');
  const normal = components.join("/");
  if (normal === "") throw badName("the path must name a folder below the node's workspace root");
  if (Buffer.byteLength(normal) > MAX_PATH_BYTES) throw badName(`the path is longer than ${MAX_PATH_BYTES} bytes`);
  for (const component of components) assertComponent(component);
  return normal;
}

function assertComponent(component: string): void {
  if (FORBIDDEN.test(component)) throw badName("the path must not contain control characters or backslashes");
  if (/\p{Surrogate}/u.test(component)) throw badName("the path is not valid Unicode");
  if (Buffer.byteLength(component) > MAX_PATH_COMPONENT_BYTES) {
    throw badName(`a component of the path is longer than ${MAX_PATH_COMPONENT_BYTES} bytes`);
  }
  if (fold(component) === ENGINE_FOLDER) throw badName(`"${ENGINE_FOLDER}" is a reserved name`);
}

/** How a file system may see a name: without case, ignorable characters (HFS+), trailing dots and spaces (Windows). */
function fold(component: string): string {
  return component
    .normalize("NFKC")
    .replace(/\p{Default_Ignorable_Code_Point}/gu, "")
    .toLowerCase()
    .replace(/[. ]+$/, "");
}

function outside(message: string): CortexError {
  return new CortexError("PATH_OUTSIDE_WORKSPACE", message, { details: { field: "path" } });
}

function badName(message: string): CortexError {
  return new CortexError("BAD_NAME", message, { details: { field: "path" } });
}
