/**
 * Where the control socket of a directory is bound and dialled.
 *
 * A socket's path has about a hundred bytes in the kernel. On Linux a longer one is reached through a descriptor of its
 * directory; elsewhere it is refused with what to do.
 */
import { close, openSync } from "node:fs";
import { join } from "node:path";
import { EXIT, ExitError } from "./exit-status.js";

/** Name of the control socket. */
export const CONTROL_SOCKET = "control.sock";

/** What fits into `sockaddr_un` on every platform, less the end mark. */
const MAX_SOCKET_PATH_BYTES = 103;

/** A path for `listen` and `connect`. */
export interface ControlAddress {
  readonly path: string;
  /** To call when the socket is no longer bound or dialled. */
  release(): void;
}

/** @throws {@link ExitError} with status 73 when the path is too long here. */
export function openControlAddress(directory: string): ControlAddress {
  const path = join(directory, CONTROL_SOCKET);
  if (Buffer.byteLength(path) <= MAX_SOCKET_PATH_BYTES) return { path, release: () => undefined };
  if (process.platform !== "linux") {
    throw new ExitError(EXIT.stateUnusable, `${path} is too long for a socket: choose a shorter directory`);
  }
  const descriptor = openSync(directory, "r");
  let isReleased = false;
  return {
    path: `/proc/self/fd/${descriptor}/${CONTROL_SOCKET}`,
    release() {
      if (isReleased) return;
      isReleased = true;
      close(descriptor);
    },
  };
}
