/**
 * Keeps grpc-js from writing to standard error by itself: what it reports there reaches callers as errors.
 *
 * Its logger belongs to the whole process, so it is left alone where somebody asked for it in the environment, and is
 * set once only: a program that turns it on afterwards keeps what it set.
 */
import { logVerbosity, setLogVerbosity } from "@grpc/grpc-js";

let isDone = false;

/** Silences grpc-js' own logger, once in a process. */
export function quietGrpc(): void {
  if (isDone) return;
  isDone = true;
  const asked = process.env["GRPC_NODE_VERBOSITY"] ?? process.env["GRPC_VERBOSITY"] ?? "";
  if (asked === "") setLogVerbosity(logVerbosity.NONE);
}
